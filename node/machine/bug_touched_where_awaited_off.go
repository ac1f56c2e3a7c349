//go:build !bug_touched_where_awaited

package machine

// touchedWhereAwaited plants a known bug, which the simulation must find: only a replica where somebody waits for
// the results counts what an entry touches.
const touchedWhereAwaited = false
