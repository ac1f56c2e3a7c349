//go:build !bug_formats_not_compared

package peer

const formatsNotCompared = false
