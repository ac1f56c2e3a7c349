package replica

// planted switches on known bugs, each by a build tag of its own in a planted_*.go file, so
// that the simulation can show that it finds them. All are off in every normal build.
var planted struct {
	ackBeforeFsync    bool // promises leave before the log is on disk
	leaseOverTransfer bool // the lease outlives the hand-over of leadership
	voteAfterRestart  bool // votes are given right after a restart
	libraryLease      bool // ReadOnlyLeaseBased
	confTwice         bool // a configuration change is applied again at restart
	localExpiry       bool // a deadline is judged by the clock of whoever reads
	goneTooEarly      bool // a removed replica is told so before the others surely remember it
}
