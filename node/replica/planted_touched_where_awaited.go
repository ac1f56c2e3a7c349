//go:build bug_touched_where_awaited

package replica

func init() { planted.touchedWhereAwaited = true }
