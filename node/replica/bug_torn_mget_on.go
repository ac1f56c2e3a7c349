//go:build bug_torn_mget

package replica

const tornMget = true
