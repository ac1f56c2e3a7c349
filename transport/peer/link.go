package peer

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync/atomic"

	"pxkv/node/kv"
)

// Why a link ends, in the log.
var (
	errSilent    = errors.New("nothing arrived for too long, the peer or the network is dead")
	errRestarted = errors.New("the peer was restarted")
	errReplaced  = errors.New("the peer dialed anew")
	errOverdue   = errors.New("the transport stopped")
	errFlood     = errors.New("the peer sends requests and does not read the answers")
	errAlien     = errors.New("this node has joined another cluster than the peer's")
	errOutdated  = errors.New("this node has joined a cluster since it told the peer that it is in none")
	errRewritten = errors.New("this node's cluster has a newer version since it told the peer what it writes")
)

// link is one connection with a peer. It has a reader goroutine (run) and a writer
// goroutine; both end before the link is detached from its peer, so that it is exactly known
// which requests were written.
//
// The fields in the second block are guarded by the mutex of the peer.
type link struct {
	p      *peer
	conn   net.Conn
	remote Remote
	told   kv.ClusterID  // what the peer was told of this node's cluster
	wrote  written       // and of what this node writes
	dialed bool          // by this side
	since  int64         // on the transport's clock
	wake   chan struct{} // holds a token for the parked writer

	parked     bool // the writer waits for a token
	hold       bool // the reader is in a batch and wakes the writer at its end
	dead       bool
	deadCause  error
	retiring   bool // no more requests and frames from here; a bye is written or will be
	byeSent    bool
	byeHeard   bool // no more requests and frames from there
	sentCalls  int  // calls written to this link that have not ended
	replies    fifo
	long       fifo  // replies that wait until none of replies does
	shortBytes int64 // of replies
	replyBytes atomic.Int64
	control    []item // pings and pongs, at most maxControl

	inbound      atomic.Int64  // requests handed to the handler and not yet answered
	inboundBytes atomic.Int64  // payloads of those requests
	reads        atomic.Uint64 // reads of the socket that brought something; for liveness
	rtt          atomic.Int64  // nanoseconds, of the last ping; 0 before

	silentTicks int    // ticks without a read; for housekeeping only
	idleTicks   int    // ticks as second link; for housekeeping only
	lastReads   uint64 // for housekeeping only
}

// maxControl bounds the answers to pings that wait to be written. A peer that floods
// us with pings misses some answers, as it deserves.
const maxControl = 8

func newLink(p *peer, conn net.Conn, a agreement, dialed bool) *link {
	return &link{p: p, conn: conn, remote: a.Remote, told: a.told, wrote: a.wrote, dialed: dialed, since: p.t.now(),
		wake: make(chan struct{}, 1)}
}

// run serves the link until it breaks.
func (l *link) run() {
	l.p.t.log.Info("peer connected", "peer", l.p.t.opt.Names.Of(l.p.id), "addr", l.conn.RemoteAddr(), "dialed",
		l.dialed)
	writerDone := make(chan struct{})
	go func() {
		defer close(writerDone)
		l.write()
	}()
	err := l.read()

	l.p.mu.Lock()
	l.close(err)
	err = l.deadCause
	l.p.mu.Unlock()
	<-writerDone
	l.p.detach(l)
	level := slog.LevelInfo
	if errors.Is(err, errDamaged) || errors.Is(err, errForeign) {
		level = slog.LevelWarn
	}
	l.p.t.log.Log(context.Background(), level, "peer disconnected", "peer", l.p.t.opt.Names.Of(l.p.id), "addr",
		l.conn.RemoteAddr(), "cause", err)
}

// close breaks the link; the first cause counts. The time of the next dial is set here and not when the link's
// goroutines have ended: whatever is sent in between would dial at once. p.mu is held.
func (l *link) close(cause error) {
	if l.dead {
		return
	}
	l.dead, l.deadCause = true, cause
	l.conn.Close()
	l.unpark()
	l.p.choose()
	switch {
	case l.p.t.now()-l.since >= int64(goodLife):
		l.p.backoff = 0
	case l.p.current == nil:
		l.p.slowDown() // or two nodes that cannot live together would connect in a tight loop
	}
}

// outdated says why the link is to end, nil when it may stay. A peer that was told of another cluster than the one
// that this node is in would go on dropping our frames as those of a stranger. One that is in no cluster and was told
// that this node writes something else may not be able to read what it writes by now, and must not join before it has
// looked at that again. (Members are asked before a cluster writes anything new.)
func (l *link) outdated(cluster kv.ClusterID) error {
	switch {
	case l.told != cluster:
		return errOutdated
	case l.remote.Cluster == 0 && l.wrote != l.p.t.writes():
		return errRewritten
	}
	return nil
}

// closeIfOutdated breaks the link when it is outdated.
func (l *link) closeIfOutdated(cluster kv.ClusterID) {
	l.p.mu.Lock()
	defer l.p.mu.Unlock()
	if why := l.outdated(cluster); why != nil {
		l.close(why)
	}
}

// preferred reports whether the smaller node id dialed this link.
func (l *link) preferred() bool {
	return l.dialed == (l.p.t.opt.Identity.Node < l.remote.Node)
}

// usable reports whether frames and requests may take this link. p.mu is held.
func (l *link) usable() bool { return !l.dead && !l.retiring && !l.byeHeard }

// retire begins the orderly end of the link: a bye is written behind what was written
// before, and the link ends when both sides have said it and have all their answers.
// p.mu is held.
func (l *link) retire() {
	if l.retiring || l.dead {
		return
	}
	l.retiring = true
	l.p.choose()
	l.kick()
}

// finished reports whether neither side expects anything any more. p.mu is held.
func (l *link) finished() bool {
	return l.byeSent && l.byeHeard && l.sentCalls == 0 && l.inbound.Load() == 0 && l.answers() == 0
}

// answers is how many replies wait. p.mu is held.
func (l *link) answers() int { return l.replies.len() + l.long.len() }

// longReply is the longest payload of a reply, in bytes, that is written before those that are longer,
// whichever was there first, and has room behind them. With a short queue it is less.
const longReply = 64 << 10

func (l *link) isLong(it *item) bool {
	return len(it.payload) > min(longReply, l.p.t.opt.QueueBytes/8)
}

// crowded reports whether there are too many replies for one more to wait: for a short one, of those
// that are short as well.
func (l *link) crowded(it *item) bool {
	waits := l.shortBytes
	if l.isLong(it) {
		waits = l.replyBytes.Load()
	}
	return l.answers() > 0 && waits+int64(it.cost()) > int64(l.p.t.opt.QueueBytes)
}

// kick makes the writer look for work, at the end of the reader's batch if one is being
// handled. p.mu is held.
func (l *link) kick() {
	if !l.hold {
		l.unpark()
	}
}

func (l *link) kickIfRetiring() {
	if l.retiring {
		l.kick()
	}
}

// unpark hands the parked writer its token. p.mu is held. The channel has room, for the
// writer takes the token before it parks again.
func (l *link) unpark() {
	if l.parked {
		l.parked = false
		l.wake <- struct{}{}
	}
}

// ping queues a ping whose token is the current time. p.mu is held.
func (l *link) ping(token int64) {
	if len(l.control) < maxControl {
		l.control = append(l.control, item{typ: typePing, id: uint64(token)})
		l.kick()
	}
}

// reply queues the response to a request of the peer, whose payload had size bytes.
//
// The answer to what may have changed something is kept whatever waits already: it may hold the
// only copy of a value, and the peer must not be told that it was not done. What bounds that memory
// is that request takes no more while so much waits. The answer to what can be asked again is dropped
// instead.
func (l *link) reply(id uint64, kind uint8, size int64, payload []byte, err error) {
	it := item{typ: typeResponse, id: id, payload: payload}
	switch {
	case err == nil:
	case errors.Is(err, ErrNotSent):
		it.code, it.payload = statusNotProcessed, nil
	case errors.Is(err, ErrLost):
		it.code, it.payload = statusLost, nil
	default:
		text := err.Error()
		it.code, it.payload = statusError, []byte(text[:min(len(text), maxErrorText)])
	}
	limits := &l.p.t.opt
	counted := false

	l.p.mu.Lock()
	defer l.p.mu.Unlock()
	l.inbound.Add(-1)
	l.inboundBytes.Add(-size)
	if l.dead {
		return
	}
	if l.answers() > 2*limits.MaxInFlight { // before anything is counted for it
		l.close(errFlood)
		return
	}
	switch {
	case len(it.payload) > limits.MaxPayload:
		// The answer cannot be sent. That the request was processed must not be denied.
		it.code, it.payload = statusLost, nil
		l.p.traffic.droppedReplies.Add(1)
	case limits.Repeatable(kind) && (l.crowded(&it) || !limits.Budget.Take(it.cost(), kv.OfPeers)):
		it.code, it.payload = statusDropped, nil
		l.p.traffic.droppedReplies.Add(1)
	case limits.Repeatable(kind):
		counted = true
	}
	if !counted {
		limits.Budget.Force(it.cost())
	}
	if l.isLong(&it) {
		l.long.push(it)
	} else {
		l.replies.push(it)
		l.shortBytes += int64(it.cost())
	}
	l.replyBytes.Add(int64(it.cost()))
	l.kick()
}
