//go:build bug_handed_over_is_dark

package node

const handedOverIsDark = true // see bug_handed_over_is_dark_off.go
