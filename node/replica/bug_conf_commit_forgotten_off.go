//go:build !bug_conf_commit_forgotten

package replica

// confCommitForgotten plants a known bug, which the simulation must find: that a configuration change is committed
// comes to the disk with the next append only.
const confCommitForgotten = false
