//go:build bug_account_kept

package resp

const accountKept = true
