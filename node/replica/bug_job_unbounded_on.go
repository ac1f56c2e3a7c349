//go:build bug_job_unbounded

package replica

const jobUnbounded = true
