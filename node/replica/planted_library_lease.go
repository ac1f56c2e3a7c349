//go:build bug_library_lease

package replica

func init() { planted.libraryLease = true }
