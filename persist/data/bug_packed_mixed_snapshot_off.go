//go:build !bug_packed_mixed_snapshot

package data

// packedMixedSnapshot plants a known bug, which the simulation must find: a record of a snapshot loses that its value
// is packed, and keeps the packed bytes.
const packedMixedSnapshot = false
