//go:build bug_torn_mget

package replica

func init() { planted.tornMget = true }
