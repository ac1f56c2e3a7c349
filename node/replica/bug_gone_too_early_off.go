//go:build !bug_gone_too_early

package replica

// goneTooEarly plants a known bug: a removed replica is told so before the others surely remember it. Since every
// replica writes a configuration change down when it applies it, hardly any schedule finds it: see
// docs/reliability.md.
const goneTooEarly = false
