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
	// a replica that does not lead judges deadlines by what was logged alone
	followersHaveNoClock bool
	// keys that are read together may be of different moments
	tornMget          bool
	handOverSkipped   bool // a node that is asked to stop does not wait until others lead
	oldDiskBelieved   bool // what others remember of this node does not count
	vouchedByNobody   bool // who has not said what it remembers of a node that starts counts as heard
	removedAwaited    bool // a node that starts waits for the word of those that were removed, too
	replacedGoesOn    bool // a node that hears that it is no member goes on
	goneTooEarly      bool // a removed replica is told so before the others surely remember it
	refusedInFlight   bool // a proposal that the library refused is answered, and waits for its entry
	refusedSilently   bool // a proposal that the library refused is not answered
	leaderIsFresh     bool // whoever believes to lead says that its state is not old
	readsNotGivenBack bool // a read that was dropped goes on counting toward the limit
	// a heartbeat that arrives counts as said now, however long it waited
	stalenessFromArrival bool
	// a snapshot that arrives in a turn whose apply budget is spent is thrown away when it was accepted
	snapshotOverBudget  bool
	tailAliasesFrame    bool // an entry keeps the whole frame in memory that brought it
	purgeSlotLeaks      bool // a purge that is lost with its leadership counts as under way for ever
	flightsKept         bool // writes of a leader that has lost its majority are awaited for ever
	jobUnbounded        bool // a stalled disk lets the open job grow without end
	turnPanicHangs      bool // requests that a turn had taken when it panicked are never answered
	logCutAhead         bool // the log is cut where the library may still look
	confCommitForgotten bool // that a configuration change is committed comes to the disk with the next append only
	otherHalfAwaited    bool // a node that starts waits for those who have never needed its word
	votesAskedEarly     bool // a candidate asks for votes before its own disk knows the term
	putOffForgotten     bool // what an entry put off is answered as if it were done

	divergedLeaderWins bool // whoever differs from its leader stops, whoever of them is right
	voidForgotten      bool // the mark of a void state is not written
	rebuiltWithoutLog  bool // what was acknowledged behind the snapshot of a rebuilt replica is forgotten
	voidKeepsConf      bool // a void replica keeps the configuration from which on it is void
	voidNeverStands    bool // a void replica is never elected, also where nobody else can be
	// one whose log is full takes nothing, though its leader cannot rebuild it before
	fullVoidTakesNothing bool
	snapshotCondemned    bool // a snapshot is thrown away that the library accepted when the state was condemned

	snapshotNoBackoff  bool // a snapshot that failed is sent again at once
	snapshotSlotLeaks  bool // the place of a shipment whose leadership ended is never free again
	slowDiskLeads      bool // a leader whose disk hangs goes on leading
	learnerBeforeVoter bool // whoever came first gets the next place
	snapshotFromZero   bool // a shipment is given up after a time, however much of it has moved
	snapshotReportLost bool // the library does not hear that a snapshot failed
	snapshotLogNotKept bool // the log behind a snapshot is cut while it is on its way
}
