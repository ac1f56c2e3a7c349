//go:build !bug_account_kept

package resp

// accountKept plants a known bug, which the tests must find: what a command held stays counted when it was answered.
const accountKept = false
