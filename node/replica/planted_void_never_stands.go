//go:build bug_void_never_stands

package replica

func init() { planted.voidNeverStands = true }
