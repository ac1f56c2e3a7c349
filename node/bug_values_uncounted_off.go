//go:build !bug_values_uncounted

package node

// valuesUncounted plants a known bug, which the tests must find: values that are read here are held
// for clients without being counted.
const valuesUncounted = false
