//go:build !bug_handed_over_is_dark

package node

// handedOverIsDark is a known bug: a group whose leadership is handed over while its members are asked is said not to
// be served.
const handedOverIsDark = false
