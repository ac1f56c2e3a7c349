//go:build !bug_commit_left_out

package replica

// commitLeftOut plants a known bug, which a test must find: the disk never learns that an entry is committed.
const commitLeftOut = false
