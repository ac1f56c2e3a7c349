//go:build bug_refused_silently

package replica

const refusedSilently = true
