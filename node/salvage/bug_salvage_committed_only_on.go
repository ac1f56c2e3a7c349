//go:build bug_salvage_committed_only

package salvage

const salvageCommittedOnly = true
