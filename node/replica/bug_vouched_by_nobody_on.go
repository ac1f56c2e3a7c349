//go:build bug_vouched_by_nobody

package replica

const vouchedByNobody = true
