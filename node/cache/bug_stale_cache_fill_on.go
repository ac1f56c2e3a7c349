//go:build bug_stale_cache_fill

package cache

const ignoreChanges = true
