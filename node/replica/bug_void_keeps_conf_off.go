//go:build !bug_void_keeps_conf

package replica

// voidKeepsConf plants a known bug, which the simulation must find: a void replica keeps the configuration from
// which on it is void.
const voidKeepsConf = false
