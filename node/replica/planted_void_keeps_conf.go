//go:build bug_void_keeps_conf

package replica

func init() { planted.voidKeepsConf = true }
