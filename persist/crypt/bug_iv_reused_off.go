//go:build !bug_iv_reused

package crypt

// ivReused plants a known bug, which the test harnesses must find: a file that is used again keeps the counter
// from which on its former content was encrypted.
const ivReused = false
