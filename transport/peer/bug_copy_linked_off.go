//go:build !bug_copy_linked

package peer

const copyLinked = false
