//go:build bug_void_keeps_conf

package replica

const voidKeepsConf = true
