//go:build bug_conf_twice

package replica

const confTwice = true
