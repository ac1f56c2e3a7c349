//go:build !bug_many_given_up

package meta

// manyGivenUp plants a known bug, which the tests must find: silent members are given up although another one is down
// already.
const manyGivenUp = false
