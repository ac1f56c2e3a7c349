//go:build !bug_salvage_committed_only

package salvage

// salvageCommittedOnly plants a known bug, which the test harnesses must find:
// what only an election would commit is left out although a majority is there.
const salvageCommittedOnly = false
