//go:build bug_commit_left_out

package replica

const commitLeftOut = true
