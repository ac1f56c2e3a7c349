//go:build bug_values_uncounted

package node

const valuesUncounted = true
