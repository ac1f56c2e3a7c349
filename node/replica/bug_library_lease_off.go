//go:build !bug_library_lease

package replica

// libraryLease plants a known bug, which the simulation must find: ReadOnlyLeaseBased.
const libraryLease = false
