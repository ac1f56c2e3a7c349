//go:build !bug_applied_own_batch

package data

// appliedInOwnBatch plants a known bug, which the test harnesses must find: an applied index
// that is not written together with the effects that it labels.
const appliedInOwnBatch = false
