package rebalance

// planted switches on known bugs, each by a build tag of its own in a planted_*.go file, so
// that a test can show that it finds them. All are off in every normal build.
var planted struct {
	deadJoinerBlocks    bool // all wanted voters are waited for, dead ones included
	fillingCountsDead   bool // learners that cannot be filled count as being filled
	neverCaughtUp       bool // "caught up" is a number of entries, which a group under load never falls below
	slowKeepsLeading    bool // a node that stalls again and again keeps its leaderships
	leadershipsGoRound  bool // nodes that all stall at once pass every leadership on as soon as it comes
	driftWithoutDamping bool // a preferred leader gets its leaderships back however often it falls
	silenceIsSteady     bool // time in which a node says nothing counts as steady, until it counts as fallen
}
