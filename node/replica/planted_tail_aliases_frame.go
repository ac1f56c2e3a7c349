//go:build bug_tail_aliases_frame

package replica

func init() { planted.tailAliasesFrame = true }
