//go:build bug_append_to_packed

package machine

const appendToPacked = true
