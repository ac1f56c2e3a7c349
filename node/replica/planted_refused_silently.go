//go:build bug_refused_silently

package replica

func init() { planted.refusedSilently = true }
