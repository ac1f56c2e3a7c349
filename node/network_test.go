package node

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pxkv/node/kv"
	"pxkv/node/member"
	"pxkv/node/replica"
	"pxkv/node/rpc"
)

// How a request ends without an answer, as the real transport tells it.
var (
	errNotSent = errors.New("request not sent")
	errQuiet   = fmt.Errorf("%w: nothing comes from there", errNotSent)
	errLost    = errors.New("no answer to the request, outcome unknown")
)

// fate is what the network does to one request.
type fate int

const (
	deliver    fate = iota
	notSent         // it never leaves, and the sender knows that
	loseAnswer      // it is carried out, and its answer is lost
	holdAnswer      // the same, and the sender learns of it only at its deadline
	quiet           // the same, since nothing comes from the other
	tooNew          // whoever gets it is older and does not know its kind
)

// direction is one way between two nodes.
type direction struct{ from, to kv.NodeID }

// request is what a test may know of a request before it is sent.
type request struct {
	direction
	kind    uint8
	payload []byte
}

// network connects the nodes of one test. It is what transport and gossip are in a process:
// frames and requests of one direction arrive in order, on a goroutine of the receiver.
type network struct {
	t testing.TB

	mu       sync.RWMutex
	stations map[kv.NodeID]*station // that run
	cut      map[direction]bool
	paused   map[kv.NodeID]bool // nothing comes from them, and nothing is refused
	delay    map[direction]time.Duration
	judge    func(request) fate // nil: deliver all
	noData   bool               // snapshots of partitions do not get through
	sent     map[uint8]int      // requests that were delivered, by kind
	longest  int                // of answers in bytes, longer ones are lost; 0 is what the default of Limits says
}

func newNetwork(t testing.TB) *network {
	return &network{t: t, stations: map[kv.NodeID]*station{}, cut: map[direction]bool{}, paused: map[kv.NodeID]bool{},
		delay: map[direction]time.Duration{}, sent: map[uint8]int{}}
}

// setJudge lets a test decide what happens to each request.
func (n *network) setJudge(f func(request) fate) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.judge = f
}

// setNoData lets no snapshot of a partition get through, so that new replicas have nothing.
func (n *network) setNoData(none bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.noData = none
}

// setDelay lets everything from one node to another take so long.
func (n *network) setDelay(from, to *server, d time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.delay[direction{from.id(), to.id()}] = d
}

// cutLink cuts one direction, and tells both ends.
func (n *network) cutLink(from, to kv.NodeID) {
	n.mu.Lock()
	n.cut[direction{from, to}] = true
	a, b := n.stations[from], n.stations[to]
	n.mu.Unlock()
	if a != nil && b != nil {
		a.s.loop.Unreachable(to)
		b.s.loop.Unreachable(from)
	}
}

// isolate cuts a node off from all others.
func (n *network) isolate(s *server) {
	n.mu.RLock()
	var others []kv.NodeID
	for id := range n.stations {
		if id != s.id() {
			others = append(others, id)
		}
	}
	n.mu.RUnlock()
	for _, id := range others {
		n.cutLink(s.id(), id)
		n.cutLink(id, s.id())
	}
}

// pause makes a node silent, as a process is that stands still.
func (n *network) pause(s *server, still bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.paused[s.id()] = still
}

// parted reports whether nothing goes from one node to another. n.mu is held.
func (n *network) parted(d direction) bool { return n.cut[d] || n.paused[d.from] || n.paused[d.to] }

// reconnect mends all links of a node.
func (n *network) reconnect(id kv.NodeID) {
	n.mu.Lock()
	defer n.mu.Unlock()
	maps.DeleteFunc(n.cut, func(d direction, _ bool) bool { return d.from == id || d.to == id })
}

// heal mends all links, and ends delays and judgements.
func (n *network) heal() {
	n.mu.Lock()
	defer n.mu.Unlock()
	clear(n.cut)
	clear(n.paused)
	clear(n.delay)
	n.judge = nil
}

func (n *network) isCut(d direction) bool {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.parted(d)
}

// requests counts the requests of a kind that were delivered so far.
func (n *network) requests(kind uint8) int {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.sent[kind]
}

// sees reports whether messages go both ways between two nodes.
func (n *network) sees(a, b kv.NodeID) bool {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.stations[a] != nil && n.stations[b] != nil && !n.parted(direction{a, b}) && !n.parted(direction{b, a})
}

// way returns the receiver of a direction and how long the way takes; nil when it is cut.
func (n *network) way(d direction) (*station, time.Duration) {
	n.mu.RLock()
	defer n.mu.RUnlock()
	if n.parted(d) {
		return nil, 0
	}
	return n.stations[d.to], n.delay[d]
}

// neighbours is what gossip shows to a node.
func (n *network) neighbours(self kv.NodeID) []Neighbour {
	n.mu.RLock()
	var all []*station
	for _, st := range n.stations {
		all = append(all, st)
	}
	n.mu.RUnlock()
	var out []Neighbour
	for _, st := range all {
		if st.id == self || !n.sees(self, st.id) {
			continue
		}
		out = append(out, Neighbour{ID: st.id, Cluster: kv.ClusterID(st.s.cluster.Load())})
	}
	return out
}

// look asks at the addresses of other nodes, which are their names, who is there.
func (n *network) look(self kv.NodeID, names []string) []member.Place {
	var out []member.Place
	for i, name := range names {
		p := member.Place{
			Address: name, At: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), 7946), Refused: true,
		}
		n.mu.RLock()
		for _, st := range n.stations {
			switch {
			case st.s.name != name:
			case st.id != self && (n.parted(direction{self, st.id}) || n.parted(direction{st.id, self})):
				p.Refused, p.Fault = false, "timeout"
			default:
				p.Refused, p.Node, p.Cluster = false, st.id, kv.ClusterID(st.s.cluster.Load())
				if p.Cluster == 0 {
					p.Expect = st.s.expect
				}
			}
		}
		n.mu.RUnlock()
		out = append(out, p)
	}
	return out
}

// station is one node's end of the network: its loop.Sender, Peers and Sight.
type station struct {
	n  *network
	id kv.NodeID
	s  *server

	mu      sync.Mutex
	ctx     context.Context // of Run; nil when it does not run
	links   map[kv.NodeID]chan parcel
	calls   map[*call]bool // of this node, under way
	readers sync.WaitGroup
	open    atomic.Int64 // requests handed to the node and not answered yet
}

// parcel is what travels: a frame or a request.
type parcel struct {
	due    time.Time
	arrive func()
	lose   func()
}

// Run takes what arrives until ctx ends.
func (st *station) Run(ctx context.Context) error {
	st.mu.Lock()
	st.ctx, st.links = ctx, map[kv.NodeID]chan parcel{}
	st.mu.Unlock()
	st.n.mu.Lock()
	st.n.stations[st.id] = st
	st.n.mu.Unlock()
	<-ctx.Done()
	st.n.mu.Lock()
	if st.n.stations[st.id] == st {
		delete(st.n.stations, st.id)
	}
	var others []*station
	for _, o := range st.n.stations {
		others = append(others, o)
	}
	st.n.mu.Unlock()
	for _, o := range others {
		o.s.loop.Disconnected(replica.Disconnection{Node: st.id})
	}
	st.mu.Lock()
	st.ctx = nil
	st.mu.Unlock()
	st.readers.Wait()
	for _, link := range st.links {
		for len(link) > 0 {
			(<-link).lose()
		}
	}
	// As with transport/peer, what the node waits for ends with its links.
	st.mu.Lock()
	left := slices.Collect(maps.Keys(st.calls))
	st.mu.Unlock()
	for _, c := range left {
		c.end(nil, errLost)
	}
	return nil
}

// take queues a parcel; it reports false when the station does not run or its link is full.
func (st *station) take(from kv.NodeID, p parcel) bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.ctx == nil || st.ctx.Err() != nil {
		return false
	}
	link := st.links[from]
	if link == nil {
		link = make(chan parcel, 4096)
		st.links[from] = link
		ctx := st.ctx
		st.readers.Go(func() { read(ctx, link) })
	}
	select {
	case link <- p:
		return true
	default:
		return false
	}
}

func read(ctx context.Context, link chan parcel) {
	for {
		select {
		case p := <-link:
			if wait := time.Until(p.due); wait > 0 {
				timer := time.NewTimer(wait)
				select {
				case <-timer.C:
				case <-ctx.Done():
					timer.Stop()
					p.lose()
					return
				}
			}
			p.arrive()
		case <-ctx.Done():
			return
		}
	}
}

// Alive implements Sight: as gossip does, it goes round a cut between two nodes.
func (st *station) Alive(id kv.NodeID) bool {
	if st.n.sees(st.id, id) {
		return true
	}
	st.n.mu.RLock()
	thirds := slices.Collect(maps.Keys(st.n.stations))
	st.n.mu.RUnlock()
	return slices.ContainsFunc(thirds, func(third kv.NodeID) bool {
		return st.n.sees(st.id, third) && st.n.sees(third, id)
	})
}

// Send implements loop.Sender. Frames are for members only.
func (st *station) Send(to kv.NodeID, frame []byte) bool {
	d := direction{st.id, to}
	target, delay := st.n.way(d)
	if target == nil || st.s.cluster.Load() == 0 {
		return false
	}
	return target.take(st.id, parcel{due: time.Now().Add(delay), lose: func() {}, arrive: func() {
		if again, _ := st.n.way(d); again == target && target.s.cluster.Load() != 0 {
			target.s.node.HandleFrame(st.id, frame)
		}
	}})
}

// SendSnapshot implements loop.Sender.
func (st *station) SendSnapshot(ctx context.Context, to kv.NodeID, header []byte, write func(io.Writer) error) error {
	target, _ := st.n.way(direction{st.id, to})
	req, err := replica.DecodeSnapshotRequest(header)
	if err != nil {
		return err
	}
	st.n.mu.RLock()
	lost := st.n.noData && req.Partition != kv.Meta
	st.n.mu.RUnlock()
	if target == nil || lost {
		return errNotSent
	}
	target.mu.Lock()
	if target.ctx == nil {
		target.mu.Unlock()
		return errNotSent
	}
	target.readers.Add(1)
	stopped := target.ctx
	target.mu.Unlock()
	defer target.readers.Done()

	out, in := io.Pipe()
	defer context.AfterFunc(ctx, func() { in.CloseWithError(context.Cause(ctx)) })()
	defer context.AfterFunc(stopped, func() { out.CloseWithError(errLost) })()
	var sender sync.WaitGroup
	sender.Go(func() { in.CloseWithError(write(in)) })
	err = target.s.loop.ReceiveSnapshot(context.Background(), st.id, header, out)
	out.CloseWithError(errors.Join(err, io.ErrClosedPipe))
	sender.Wait()
	return err
}

// Go implements Peers.
func (st *station) Go(to kv.NodeID, kind uint8, deadline time.Time, payload []byte, done func([]byte, error)) {
	d := direction{st.id, to}
	st.n.mu.RLock()
	judge := st.n.judge
	st.n.mu.RUnlock()
	target, delay := st.n.way(d)
	what := deliver
	if judge != nil {
		what = judge(request{d, kind, payload})
	}
	if what == quiet {
		done(nil, errQuiet)
		return
	}
	if target == nil || what == notSent || !time.Now().Before(deadline) {
		done(nil, errNotSent)
		return
	}
	c := &call{n: st.n, home: st, back: direction{to, st.id}, fate: what, done: done}
	c.mu.Lock()
	c.late = time.AfterFunc(time.Until(deadline), func() { c.end(nil, errLost) })
	c.mu.Unlock()
	st.mu.Lock()
	if st.calls == nil {
		st.calls = map[*call]bool{}
	}
	st.calls[c] = true
	st.mu.Unlock()
	payload = bytes.Clone(payload)
	if what == tooNew {
		kind = 255
	}
	// A node that stops in good order refuses what it has not looked at, as transport/peer does.
	refuse := func() {
		if target.s.handOver.Load() && !st.n.isCut(d) {
			c.end(nil, errNotSent)
			return
		}
		c.end(nil, errLost)
	}
	if !target.take(st.id, parcel{due: time.Now().Add(delay), lose: refuse, arrive: func() {
		target.open.Add(1)
		target.s.node.HandleRequest(st.id, kind, deadline, payload, c.answer(target))
	}}) {
		c.end(nil, errNotSent)
		return
	}
	st.n.mu.Lock()
	st.n.sent[kind]++
	st.n.mu.Unlock()
}

// call is a request under way.
type call struct {
	n    *network
	home *station
	back direction
	fate fate
	done func([]byte, error)

	mu    sync.Mutex
	late  *time.Timer // ends the call at its deadline
	ended bool
}

// end ends the call, once.
func (c *call) end(b []byte, err error) {
	c.mu.Lock()
	before := c.ended
	c.ended = true
	c.late.Stop()
	c.mu.Unlock()
	c.home.mu.Lock()
	delete(c.home.calls, c)
	c.home.mu.Unlock()
	if !before {
		c.done(b, err)
	}
}

// answer is the reply function of a request, which checks that it is called once only.
func (c *call) answer(from *station) func([]byte, error) {
	var answered atomic.Bool
	return func(b []byte, err error) {
		if answered.Swap(true) {
			c.n.t.Errorf("a request was answered twice, the second time with %d bytes and %v", len(b), err)
			return
		}
		from.open.Add(-1)
		home, delay := c.n.way(c.back)
		switch longest := cmp.Or(c.n.longest, 32<<20-rpc.ViaOverhead) + rpc.ViaOverhead; {
		case len(b) > longest:
			c.n.t.Errorf("an answer of %d bytes cannot travel: %d are possible", len(b), longest)
			c.end(nil, errLost)
			return
		case c.fate == holdAnswer:
			return
		case home == nil || c.fate == loseAnswer:
			c.end(nil, errLost)
			return
		case err != nil:
			err = fmt.Errorf("the other node says: %s", err)
		}
		// The answer travels with what else goes there, and is another node's memory.
		b = bytes.Clone(b)
		if !home.take(c.back.from, parcel{due: time.Now().Add(delay), arrive: func() { c.end(b, err) }, lose: func() {
			c.end(nil, errLost)
		}}) {
			c.end(nil, errLost)
		}
	}
}
