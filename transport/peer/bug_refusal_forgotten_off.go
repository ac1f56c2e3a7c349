//go:build !bug_refusal_forgotten

package peer

const forgetRefusals = false // see bug_refusal_forgotten_on.go
