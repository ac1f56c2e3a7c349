//go:build !bug_rebuilt_without_log

package replica

// rebuiltWithoutLog plants a known bug, which the tests must find: what was acknowledged behind the snapshot of a
// rebuilt replica is forgotten.
const rebuiltWithoutLog = false
