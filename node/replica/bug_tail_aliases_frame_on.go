//go:build bug_tail_aliases_frame

package replica

const tailAliasesFrame = true
