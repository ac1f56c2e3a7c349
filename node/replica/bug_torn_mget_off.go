//go:build !bug_torn_mget

package replica

// tornMget plants a known bug, which the simulation must find: keys that are read together may be of different
// moments.
const tornMget = false
