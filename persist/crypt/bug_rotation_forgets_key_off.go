//go:build !bug_rotation_forgets_key

package crypt

// rotationForgetsKey plants a known bug, which the test harnesses must find: a rotation forgets the old data key
// when all files that are closed are rewritten, though what is open still uses it.
const rotationForgetsKey = false
