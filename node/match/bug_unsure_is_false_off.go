//go:build !bug_unsure_is_false

package match

// unsureIsFalse takes what is not sure for false, so that its not is true.
const unsureIsFalse = false
