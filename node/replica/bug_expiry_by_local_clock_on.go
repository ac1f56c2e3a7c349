//go:build bug_expiry_by_local_clock

package replica

const localExpiry = true
