//go:build bug_touched_where_awaited

package machine

const touchedWhereAwaited = true
