//go:build bug_stale_cache_fill

package cache

func init() { ignoreChanges = true }
