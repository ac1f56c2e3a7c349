//go:build bug_packed_mixed_snapshot

package data

const packedMixedSnapshot = true
