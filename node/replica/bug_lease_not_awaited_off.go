//go:build !bug_lease_not_awaited

package replica

// leaseNotAwaited plants a known bug, which the simulation must find: when the connection with the leader's node
// broke, a follower stands for election and votes at once, though the leader may live and have a lease.
const leaseNotAwaited = false
