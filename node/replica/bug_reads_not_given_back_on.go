//go:build bug_reads_not_given_back

package replica

const readsNotGivenBack = true
