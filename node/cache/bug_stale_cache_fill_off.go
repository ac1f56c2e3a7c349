//go:build !bug_stale_cache_fill

package cache

// ignoreChanges plants a known bug, which the tests must find: values are kept although the key
// changed while they were read.
const ignoreChanges = false
