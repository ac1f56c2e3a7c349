//go:build !bug_filters_unbounded

package node

// filtersUnbounded lets as many pages with a filter be made at one time as are asked for.
const filtersUnbounded = false
