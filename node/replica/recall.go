package replica

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"sync/atomic"
	"time"

	"pxkv/node/kv"
)

// Before a node that starts again votes or acknowledges anything, it asks the others what they
// remember of it: a disk that was put back to an earlier moment looks like any other from inside.
//
// A position is the number of the last record of the log that is known to be on disk. It only
// grows, over restarts too. Every frame tells the sender's, and whoever receives it remembers it for
// as long as its process lives: all that the sender has promised rests on records up to there.
// A node whose log ends before a position that somebody remembers is not what it was.
// The meta state remembers for good, on every member, how often each member was started.
//
// Each group waits for itself: see vouch. Until then it drops all that its group says, does
// not let time pass, and so neither votes, nor acknowledges, nor stands for election.

// Who was removed, or replaced because its disk is lost, is asked by nobody any more and will never
// answer: another member that has answered stands in for it. See enough.

// Memory is what one node remembers of another.
type Memory struct {
	Nonce       uint64 // the incarnation that asked
	Position    uint64 // the highest that it told, 0: none since this process began
	Starts      uint64 // as the meta state has it, 0: it is no member
	Incarnation uint64 // of that start
	Removed     bool   // it was a member and is none any more
	Left        bool   // it is removed since it was asked to leave
	// Others are, in the question, who has not answered it; in the answer, those of them that were
	// members and are none any more.
	Others []kv.NodeID
}

// Standing is what the meta state knows of a node.
type Standing struct {
	Starts, Incarnation uint64 // 0: it is no member
	Removed             bool   // it was one
	Left                bool   // it was removed since it was asked to leave
}

var (
	// ErrOutdated is the error of a node whose disk has forgotten what it promised.
	ErrOutdated = errors.New("the data directory is an old copy or has lost data")
	// ErrCopy is the error of a copy of a data directory that was in use.
	ErrCopy = errors.New("the data directory is a copy")
	// ErrReplaced is the error of a node that is no member any more.
	ErrReplaced = errors.New("this node is no member of the cluster any more")
	// ErrLeft is the error of a node that was asked to leave, and of which nothing is needed any more.
	ErrLeft = errors.New("this node has left the cluster")
	// ErrTwice is the error of a node of which a later process has started.
	ErrTwice = errors.New("another process runs as this node")
)

const (
	recallTicks = 2 * ElectionTicks // between two questions of a node that is vouched for
	removeTicks = 5                 // between two questions who of the silent ones was removed
	maxRecalled = 4096              // nodes whose position is remembered
	maxOthers   = 64                // in one question
)

// recall is what this node asked and was told since it started.
type recall struct {
	disk     uint64 // position of the disk when the process started
	trusted  bool   // some group was vouched for, so that this process makes promises
	answered map[kv.NodeID]bool
	removed  map[kv.NodeID]bool // silent ones that are no members any more, as one said that answered
	waiting  int                // groups that nobody has vouched for yet
	ready    atomic.Bool        // the meta group's replica is vouched for, or there is none
	// others is what this node remembers of the others.
	others map[kv.NodeID]uint64
	heard  map[kv.NodeID]time.Duration // boot time of the last frame
	spoke  map[kv.NodeID]bool          // in this tick, without an answer yet
}

func (h *Host) beginRecall() {
	h.recall.disk, h.recall.trusted = h.cfg.DB.Position(), h.cfg.Fresh
	h.recall.answered, h.recall.others = map[kv.NodeID]bool{}, map[kv.NodeID]uint64{}
	h.recall.heard = map[kv.NodeID]time.Duration{}
	h.recall.spoke, h.recall.removed = map[kv.NodeID]bool{}, map[kv.NodeID]bool{}
}

// Vouched reports, from any goroutine, whether the others have vouched for this node's replica of
// the meta group. Before that it should not tell the cluster that it has started.
func (h *Host) Vouched() bool { return h.recall.ready.Load() }

// Unvouched lists the nodes that have not said yet what they remember of this one, and still may,
// while any group waits for that.
func (h *Host) Unvouched() []kv.NodeID {
	if h.recall.waiting == 0 {
		return nil
	}
	return slices.DeleteFunc(h.neighbours(), func(n kv.NodeID) bool {
		return h.recall.answered[n] || h.recall.removed[n]
	})
}

// Ask asks other nodes too what they know of this one: those that gossip shows and that this node's
// own state may be too old to name. The answer may be that it is no member any more.
func (h *Host) Ask(nodes []kv.NodeID) {
	for _, n := range nodes {
		if n != h.cfg.Node {
			h.frames.add(n, &Message{Kind: Recall, Memory: &Memory{Nonce: h.cfg.Incarnation}})
		}
	}
}

// askWhoWasRemoved asks those that have answered which of the silent ones will never do so. Where
// these are more than one question holds, it is about others each time.
func (h *Host) askWhoWasRemoved() {
	silent := h.Unvouched()
	if skip := maxOthers * int(h.clock.ticks/removeTicks); len(silent) > maxOthers {
		silent = slices.Concat(silent, silent)[skip%len(silent):][:maxOthers]
	}
	if len(silent) == 0 {
		return
	}
	for _, n := range slices.Sorted(maps.Keys(h.recall.answered)) {
		h.frames.add(n, &Message{Kind: Recall, Memory: &Memory{Nonce: h.cfg.Incarnation, Others: silent}})
	}
}

// neighbours are all other nodes that this one knows by its state, by its groups, and because they
// spoke to one of them, in order.
func (h *Host) neighbours() []kv.NodeID {
	all := slices.Clone(h.cfg.Policy.Members())
	for _, g := range h.groups.ordered {
		for i := range g.known.infos {
			if n := g.known.infos[i].node; !slices.Contains(all, n) { // there are few, and many groups
				all = append(all, n)
			}
		}
	}
	slices.Sort(all)
	return slices.DeleteFunc(slices.Compact(all), func(n kv.NodeID) bool { return n == 0 || n == h.cfg.Node })
}

// staying are those neighbours that were not removed. Groups know former members for long, and whoever were asked for
// ever would be dialed for ever.
func (h *Host) staying() []kv.NodeID {
	return slices.DeleteFunc(h.neighbours(), func(n kv.NodeID) bool { return h.cfg.Policy.Standing(n).Removed })
}

// tickRecall asks again, and gives up on those who do not answer.
func (h *Host) tickRecall() {
	switch {
	case h.recall.waiting > 0:
		h.Ask(h.Unvouched())
		if h.clock.ticks%removeTicks == 0 {
			h.askWhoWasRemoved()
		}
		h.vouchAll()
	case (h.clock.ticks+uint64(h.cfg.Node))%recallTicks == 0:
		h.Ask(h.staying())
	}
	clear(h.recall.spoke)
}

// vouchAll looks which groups may begin.
func (h *Host) vouchAll() {
	h.recall.waiting = 0
	meta := h.groups.of[kv.Meta]
	// Who the others are is known when what was committed is applied.
	informed := meta == nil || meta.trust.void || meta.applied.Index >= meta.raft.commit
	// A member that knows of no other has promised nothing to anybody.
	if others := h.cfg.Policy.Members(); informed && h.cfg.Copied && !(len(others) == 1 && others[0] == h.cfg.Node) {
		h.fail(fmt.Errorf("%w of that of node %s, made while its process ran or after it had crashed, and has "+
			"forgotten what that one promised since: start the original, or start this node with an empty directory; "+
			"to move a node, stop it in order (SIGTERM) first", ErrCopy, h.cfg.Names.Of(h.cfg.Node)))
		return
	}
	for _, g := range h.groups.ordered {
		if !g.trust.vouched && informed && g.vouch() {
			g.trust.vouched, h.recall.trusted = true, true
			g.campaignAlone()
		}
		if !g.trust.vouched {
			h.recall.waiting++
		}
	}
	h.recall.ready.Store(meta == nil || meta.trust.vouched)
}

// vouch reports whether enough others have answered, and all of them remember nothing that this
// disk does not have. At best these are all that this node knows, not only the voters of the group as
// its disk has them: those may be out of date as well. That takes a round trip. Whoever is silent
// for an election timeout, in which a node that has just started votes for nobody anyway, is not
// waited for when a majority is there without it: else one node that is down would keep every
// other one from coming back.
//
// Of a joint configuration only the half counts of which this replica is a voter, for the other one has
// never needed its word: any two majorities of that meet in somebody else. To wait for it could be
// to wait for ever, since the group may have left it behind long ago, and those who were in it be gone.
// A learner, whose word nobody has needed, asks those who stay.
//
// A group may have moved on to other nodes while this one was away, and those that its disk names be gone
// for good, though nobody has removed them. So after a few such times a majority of all members does as well. Each of
// them hears this node's position with every frame, and asks for it itself every recallTicks: what a
// majority does not remember this node has promised in its last moments at most, to nodes that are gone.
//
// A directory that was moved waits for all members, however long that takes: it may be a copy of
// one that was used again since, and only one of them may know.
func (g *group) vouch() bool {
	h, conf := g.h, g.applied.Conf
	majority := func(ids []uint64) bool {
		voters := make([]kv.NodeID, len(ids))
		for i, id := range ids {
			voters[i] = g.known.node(kv.ReplicaID(id))
		}
		return len(ids) == 0 || h.enough(voters, len(ids)/2+1)
	}
	in, out := conf.GetVoters(), conf.GetVotersOutgoing()
	asksIn, asksOut := true, slices.Contains(out, uint64(g.id))
	if asksOut {
		asksIn = slices.Contains(in, uint64(g.id))
	}
	if otherHalfAwaited {
		asksIn, asksOut = true, true
	}
	members, late := h.cfg.Policy.Members(), h.clock.uptime() >= ElectionTicks*h.cfg.Tick
	switch {
	case vouchedByNobody:
		return true
	case len(in) == 0 && len(h.recall.answered) == 0:
		return false // made by a message, on a disk that may have had it before
	case h.cfg.Moved && !h.enough(members, len(members)):
		return false
	case asksIn && !majority(in), asksOut && !majority(out):
		return h.clock.uptime() >= carryTicks*h.cfg.Tick && len(members) > 0 && h.enough(members, len(members)/2+1)
	case h.cfg.Moved:
		return true
	case !slices.ContainsFunc(h.neighbours(), func(n kv.NodeID) bool {
		return !h.recall.answered[n] && !h.recall.removed[n]
	}):
		return true
	}
	return late
}

// enough reports whether so many of these nodes have answered, this one included. In place of one
// that was removed counts another node that has answered and is none of them: as many must speak for
// this node as if nobody had been removed.
//
// To wait for who was removed would be to wait for ever, and protects nothing. What it alone
// remembered is lost with its disk or refused for ever, and its vote and its log count nowhere any more. What
// this node had told it before, the cluster knows without it, or can do without: it was removed only
// when for each group a leader had just heard a majority of the voters without it (Inquiry of package
// member). If this node was of that majority, then the leader has heard a position of it that is no
// lower than any it had told before, since a position is of the whole disk and only grows: one of those
// that are here remembers more than the one that is gone did. If it was not, then the others have agreed
// on all that was committed without its word, and remember of it as much as of any node that was down.
//
// Who was removed is only believed of nodes that have answered. Since no id is ever admitted again, it
// cannot be out of date.
func (h *Host) enough(nodes []kv.NodeID, want int) bool {
	heard, removed := 0, 0
	for _, n := range nodes {
		switch {
		case n == h.cfg.Node || h.recall.answered[n]:
			heard++
		case h.recall.removed[n] && !removedAwaited:
			removed++
		}
	}
	others := 0
	for n := range h.recall.answered {
		if !slices.Contains(nodes, n) {
			others++
		}
	}
	return heard+min(removed, others) >= want
}

// position is what this process may tell of its disk. Before it makes promises, what it writes must
// not look like one: it may be refused, and the node come back on the disk that it should have.
func (h *Host) position() uint64 {
	if !h.recall.trusted {
		return 0
	}
	return h.cfg.DB.Position()
}

// tellable is the highest position that a node may be told. Until it has said what it remembers, that is
// none of this process's own: else what it remembers of an earlier one, and says late, would look like
// something that this process has told it.
func (h *Host) tellable(node kv.NodeID) uint64 {
	if h.cfg.Fresh || h.recall.answered[node] {
		return math.MaxUint64
	}
	return h.recall.disk
}

// hearPosition remembers how far a node's disk is.
func (h *Host) hearPosition(node kv.NodeID, position uint64) {
	if _, known := h.recall.heard[node]; known || len(h.recall.heard) < maxRecalled {
		h.recall.heard[node] = h.clock.Boot
	}
	if !h.recall.answered[node] && !h.recall.spoke[node] && h.recall.waiting == 0 && len(h.recall.spoke) < maxRecalled {
		h.recall.spoke[node] = true
		h.Ask([]kv.NodeID{node})
	}
	at, known := h.recall.others[node]
	if position > at && (known || len(h.recall.others) < maxRecalled) {
		h.recall.others[node] = position
	}
}

// answerRecall tells a node what is remembered of it.
func (h *Host) answerRecall(m Message) {
	s := h.cfg.Policy.Standing(m.FromNode)
	var gone []kv.NodeID
	for _, n := range m.Memory.Others {
		if h.cfg.Policy.Standing(n).Removed {
			gone = append(gone, n)
		}
	}
	h.frames.add(m.FromNode, &Message{Kind: Recalled, Memory: &Memory{
		Nonce: m.Memory.Nonce, Position: h.recall.others[m.FromNode], Starts: s.Starts, Incarnation: s.Incarnation,
		Removed: s.Removed, Left: s.Left,
		Others: gone,
	}})
}

// hearRecalled compares what a node remembers of this one with what this one is.
func (h *Host) hearRecalled(m Message) {
	a, c, disk := m.Memory, &h.cfg, h.recall.disk
	if c.Fresh || h.recall.answered[m.FromNode] {
		disk = c.DB.Position() // nothing above it was ever told by this process
	}
	if a.Nonce != c.Incarnation {
		return // it was asked by an earlier process
	}
	from := c.Names.Of(m.FromNode)
	switch {
	case a.Removed && a.Left:
		h.fail(fmt.Errorf("%w, says node %s: start it with an empty data directory to join as a new one", ErrLeft,
			from))
	case a.Removed && !replacedGoesOn:
		h.fail(fmt.Errorf("%w: node %s says that it was removed or replaced; start it with an empty data directory "+
			"to join as a new one", ErrReplaced, from))
	case a.Starts > c.Starts && c.Starts > 0:
		h.fail(fmt.Errorf("%w: this is start %d, and node %s knows of start %d; start this node with an empty "+
			"data directory", ErrOutdated, c.Starts, from, a.Starts))
	case a.Starts == c.Starts && a.Starts > 0 && a.Incarnation != c.Incarnation:
		h.fail(fmt.Errorf("%w: node %s knows of another process that has made start %d, on a copy of this data "+
			"directory; stop one of them and start it with an empty data directory", ErrTwice, from, c.Starts))
	case a.Position > disk && !oldDiskBelieved:
		h.fail(fmt.Errorf("%w: node %s remembers promises that rest on record %d of this node's log, which ends at "+
			"%d; start this node with an empty data directory", ErrOutdated, from, a.Position, disk))
	}
	if h.err == nil {
		h.recall.answered[m.FromNode] = true
		silent := h.Unvouched()
		for _, n := range a.Others {
			if slices.Contains(silent, n) { // so that what one node says does not grow here
				h.recall.removed[n] = true
			}
		}
		if h.recall.waiting > 0 {
			h.vouchAll()
		}
	}
}

func appendMemory(b []byte, m *Memory) []byte {
	b = binary.AppendUvarint(b, m.Nonce)
	b = binary.AppendUvarint(b, m.Position)
	b = binary.AppendUvarint(b, m.Starts)
	b = binary.AppendUvarint(b, m.Incarnation)
	removed := byte(0)
	switch {
	case m.Left: // in clusters of version 2 only
		removed = 2
	case m.Removed:
		removed = 1
	}
	b = append(b, removed)
	b = binary.AppendUvarint(b, uint64(len(m.Others)))
	for _, n := range m.Others {
		b = binary.AppendUvarint(b, uint64(n))
	}
	return b
}

// readMemory reads what appendMemory wrote; nil: it holds more than any node says.
func readMemory(d *kv.Decoder) *Memory {
	m := &Memory{Nonce: d.Uvarint(), Position: d.Uvarint(), Starts: d.Uvarint(), Incarnation: d.Uvarint()}
	removed := d.Byte()
	m.Removed, m.Left = removed == 1 || removed == 2, removed == 2
	others := d.Uvarint()
	if others > maxOthers {
		return nil
	}
	for range others {
		m.Others = append(m.Others, kv.NodeID(d.Uvarint()))
	}
	return m
}
