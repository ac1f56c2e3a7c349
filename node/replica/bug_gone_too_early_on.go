//go:build bug_gone_too_early

package replica

const goneTooEarly = true
