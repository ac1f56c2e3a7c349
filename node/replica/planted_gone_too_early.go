//go:build bug_gone_too_early

package replica

func init() { planted.goneTooEarly = true }
