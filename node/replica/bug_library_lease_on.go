//go:build bug_library_lease

package replica

const libraryLease = true
