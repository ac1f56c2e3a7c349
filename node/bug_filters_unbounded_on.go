//go:build bug_filters_unbounded

package node

const filtersUnbounded = true // see bug_filters_unbounded_off.go
