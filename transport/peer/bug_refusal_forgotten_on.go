//go:build bug_refusal_forgotten

package peer

// A build with a planted bug: a receiver's refusal arrives as any other error.
const forgetRefusals = true
