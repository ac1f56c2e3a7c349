//go:build bug_conf_twice

package replica

func init() { planted.confTwice = true }
