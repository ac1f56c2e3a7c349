//go:build bug_vouched_by_nobody

package replica

func init() { planted.vouchedByNobody = true }
