//go:build bug_many_given_up

package meta

const manyGivenUp = true
