//go:build bug_expiry_index_leaks

package replica

func init() { planted.expiryIndexLeaks = true }
