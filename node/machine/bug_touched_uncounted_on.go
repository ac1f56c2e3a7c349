//go:build bug_touched_uncounted

package machine

const touchedUncounted = true
