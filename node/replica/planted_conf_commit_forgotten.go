//go:build bug_conf_commit_forgotten

package replica

func init() { planted.confCommitForgotten = true }
