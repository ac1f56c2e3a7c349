//go:build bug_unsure_is_false

package match

const unsureIsFalse = true // see bug_unsure_is_false_off.go
