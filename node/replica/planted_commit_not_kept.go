//go:build bug_commit_not_kept

package replica

func init() { planted.commitNotKept = true }
