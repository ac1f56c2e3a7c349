package replica

// trust is how far this replica may be believed: by others, and by itself.
type trust struct {
	vouched bool   // the others remember nothing that this replica has forgotten: see vouch
	doubt   *doubt // nil: none
	void    bool   // the state is not to be believed: see void.go
	led     uint64 // tick at which a void replica knew of a leader last
	// rebuilding: a snapshot is being installed in the place of a void state. The group takes nothing
	// in and gives nothing out meanwhile.
	rebuilding bool
	rebuiltBy  SnapshotRequest
}

// ready reports whether an entry of this leader's own term is applied: only then does its
// state reflect everything that former leaders acknowledged. One in doubt about its state is not.
func (g *group) ready() bool {
	return g.leads() && g.applied.Term == g.raft.term && g.trust.doubt == nil
}

// setDoubt begins a doubt, or ends it with nil.
func (g *group) setDoubt(d *doubt) {
	g.trust.doubt = d
	g.handle.doubt.Store(d != nil)
	g.stir()
}

func (g *group) setVoid(void bool) {
	if void != g.trust.void {
		g.handle.void.Add(1)
	}
	g.trust.void, g.trust.led = void, g.h.clock.ticks
	g.stir()
}
