//go:build bug_expiry_index_leaks

package machine

const expiryIndexLeaks = true
