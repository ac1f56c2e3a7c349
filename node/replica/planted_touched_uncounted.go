//go:build bug_touched_uncounted

package replica

func init() { planted.touchedUncounted = true }
