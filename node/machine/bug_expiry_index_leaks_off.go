//go:build !bug_expiry_index_leaks

package machine

// expiryIndexLeaks plants a known bug, which the simulation must find: a write leaves the key's former deadline
// in the expiry index.
const expiryIndexLeaks = false
