//go:build bug_account_kept

package httpapi

const accountKept = true
