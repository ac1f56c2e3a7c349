//go:build !bug_conf_twice

package replica

// confTwice plants a known bug, which the simulation must find: a configuration change is applied again at restart.
const confTwice = false
