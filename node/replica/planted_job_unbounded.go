//go:build bug_job_unbounded

package replica

func init() { planted.jobUnbounded = true }
