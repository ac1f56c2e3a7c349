//go:build bug_iv_reused

package crypt

const ivReused = true
