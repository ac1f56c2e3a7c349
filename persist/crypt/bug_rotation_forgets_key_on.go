//go:build bug_rotation_forgets_key

package crypt

const rotationForgetsKey = true
