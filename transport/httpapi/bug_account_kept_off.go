//go:build !bug_account_kept

package httpapi

// accountKept plants a known bug, which the tests must find: what a request held stays counted when it was answered.
const accountKept = false
