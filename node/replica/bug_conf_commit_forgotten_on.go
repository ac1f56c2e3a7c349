//go:build bug_conf_commit_forgotten

package replica

const confCommitForgotten = true
