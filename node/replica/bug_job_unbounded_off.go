//go:build !bug_job_unbounded

package replica

// jobUnbounded plants a known bug, which the simulation must find: a stalled disk lets the open job grow without
// end.
const jobUnbounded = false
