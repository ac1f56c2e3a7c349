package replica

import pb "go.etcd.io/raft/v3/raftpb"

// A replica that is asked to take over campaigns at once, unless there is a committed change of the configuration that
// it has not applied: then the library does nothing, and says nothing. The leader would take no write until it gives
// up waiting, a shortest election timeout later. Right after a change of voters, when leadership is handed on, that is
// what happens: the last entry of the change and the request come together. So the request is kept until what is
// committed is applied, or the leader has given up. It is as if the message had taken longer.
type takeover struct {
	m     *pb.Message // nil: none is kept
	since uint64      // tick
}

// keepTakeover reports whether a message is such a request and has to wait.
func (g *group) keepTakeover(m *pb.Message) bool {
	if m.GetType() != pb.MsgTimeoutNow || takeoverForgotten {
		return false
	}
	if s := g.raft.BasicStatus(); s.Applied >= s.HardState.GetCommit() {
		return false
	}
	g.takeover = takeover{m, g.h.clock.ticks}
	return true
}

// takeOver follows when something was applied.
func (g *group) takeOver() {
	t := g.takeover
	if s := g.raft.BasicStatus(); t.m == nil || s.Applied < s.HardState.GetCommit() {
		return
	}
	g.takeover = takeover{}
	if g.h.clock.ticks-t.since < ElectionTicks && !g.trust.void {
		_ = g.raft.Step(t.m) // it has no use for one of an older term
		g.h.groups.mark(g)
	}
}
