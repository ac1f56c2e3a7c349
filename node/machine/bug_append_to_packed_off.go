//go:build !bug_append_to_packed

package machine

// appendToPacked plants a known bug, which must be found: APPEND adds plain bytes to packed ones, and leaves it said
// that all of them are packed.
const appendToPacked = false
