//go:build bug_void_never_stands

package replica

const voidNeverStands = true
