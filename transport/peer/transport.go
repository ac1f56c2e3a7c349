package peer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"pxkv/node/kv"
	"pxkv/transport/socket"
)

// Transport exchanges bytes with the other nodes. Its methods may be used from any
// goroutine, also from within the Handler.
type Transport struct {
	opt   Options
	log   *slog.Logger
	quiet *throttle // for what a misconfigured peer would repeat for ever
	start time.Time // zero of the transport's clock

	peers      atomic.Pointer[map[kv.NodeID]*peer] // copied when it changes, under mu
	stopping   atomic.Bool                         // requests of peers are refused
	nextExpiry atomic.Int64                        // when housekeeping looks for late calls
	sooner     chan struct{}                       // tells housekeeping that nextExpiry is now earlier

	snapshotsIn, snapshotsOut chan struct{} // semaphores

	softCtx  context.Context // ends when the stop begins: dials, handshakes, snapshots
	softStop context.CancelFunc
	listener *socket.Listener

	mu    sync.Mutex
	state state
	good  map[kv.NodeID]netip.AddrPort // where peers were last reached
	conns map[net.Conn]bool            // open ones; true: a link, which is given time at the stop
	tasks sync.WaitGroup               // all goroutines but housekeeping; added to while running
}

type state int

const (
	idle state = iota
	running
	stopped // or about to: no goroutine starts any more
)

// New checks the options and makes a Transport. It starts nothing.
func New(opt Options) (*Transport, error) {
	opt.setDefaults()
	if err := opt.validate(); err != nil {
		return nil, err
	}
	t := &Transport{
		opt:          opt,
		log:          opt.Logger.With("component", "peer"),
		start:        time.Now(),
		sooner:       make(chan struct{}, 1),
		snapshotsIn:  make(chan struct{}, opt.MaxSnapshotsIn),
		snapshotsOut: make(chan struct{}, opt.MaxSnapshotsOut),
		conns:        make(map[net.Conn]bool),
		good:         make(map[kv.NodeID]netip.AddrPort),
	}
	t.quiet = &throttle{log: t.log}
	t.listener = socket.New(socket.Options{
		Address: opt.Listen, KeepAlive: keepAlive, MaxConns: opt.MaxInboundConns,
		Refused: func() {
			t.quiet.warn("full", "closed a peer's connection: too many are open", "limit", opt.MaxInboundConns)
		},
		Paused: func(err error, _ time.Duration) {
			t.quiet.warn("accept", "accept of a peer's connection failed", "error", err)
		},
	})
	t.softCtx, t.softStop = context.WithCancel(context.Background())
	t.peers.Store(&map[kv.NodeID]*peer{})
	t.nextExpiry.Store(math.MaxInt64)
	return t, nil
}

// now is the transport's clock: monotonic nanoseconds.
func (t *Transport) now() int64 { return int64(time.Since(t.start)) }

// Listen binds the listen address, so that Addr is known. Run does it when it was not done.
// A Transport that listens and is not to run after all is released by Run with a context
// that has ended.
func (t *Transport) Listen() error {
	if err := t.listener.Listen(); err != nil {
		return fmt.Errorf("peer transport: listen for other nodes on %q: %w", t.opt.Listen, err)
	}
	return nil
}

// Addr returns the address that is listened on, as host:port; empty before Listen.
func (t *Transport) Addr() string {
	if a := t.listener.Addr(); a != nil {
		return a.String()
	}
	return ""
}

// Run accepts and dials connections until ctx ends. Then it refuses what is new, waits up
// to half a second for answers that are in flight in both directions, ends all other calls,
// and returns when every goroutine it started has ended; a HandleSnapshot that ignores its
// context delays that. The error is not nil only when Run could not start, or can accept no connection any more.
func (t *Transport) Run(ctx context.Context) error {
	if err := t.Listen(); err != nil {
		return err
	}
	unregister, err := t.register()
	if err != nil {
		return errors.Join(err, t.listener.Close())
	}
	defer unregister()
	t.mu.Lock()
	if t.state != idle {
		t.mu.Unlock()
		return errors.New("peer transport: Run was called twice")
	}
	t.state = running
	t.mu.Unlock()

	housekeeping, stopHousekeeping := context.WithCancel(context.Background())
	var housekeeper sync.WaitGroup
	housekeeper.Go(func() { t.housekeep(housekeeping) })
	accepting := make(chan error, 1)
	t.spawn(func() {
		accepting <- t.listener.Serve(t.serve)
		_ = t.listener.Wait(context.Background())
	})

	var failed error
	select {
	case <-ctx.Done():
	case err := <-accepting:
		failed = fmt.Errorf("peer transport: accept connections on %q: %w", t.opt.Listen, err)
	}
	t.stop()
	stopHousekeeping()
	housekeeper.Wait()
	return failed
}

// stop ends everything but housekeeping.
func (t *Transport) stop() {
	t.mu.Lock()
	t.state = stopped
	t.mu.Unlock()
	t.stopping.Store(true)
	t.softStop()
	_ = t.listener.Close()
	t.closeConns(false)
	for _, p := range *t.peers.Load() {
		p.retire()
	}
	ended := make(chan struct{})
	go func() {
		t.tasks.Wait()
		close(ended)
	}()
	patience := time.NewTimer(drainTime)
	defer patience.Stop()
	select {
	case <-ended:
		return
	case <-patience.C:
	}
	for _, p := range *t.peers.Load() {
		p.closeLinks(errOverdue)
	}
	t.closeConns(true)
	<-ended
}

// spawn runs f on a goroutine that Run waits for. It returns false when the transport is not
// running.
func (t *Transport) spawn(f func()) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.state != running {
		return false
	}
	t.tasks.Go(f)
	return true
}

// enter makes Run wait for the caller's goroutine until it calls tasks.Done.
func (t *Transport) enter() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.state != running {
		return false
	}
	t.tasks.Add(1)
	return true
}

// peer returns the peer of that id. It makes one if there is none, or returns nil when the
// transport is not running.
func (t *Transport) peer(id kv.NodeID) *peer {
	if p := (*t.peers.Load())[id]; p != nil {
		return p
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	known := *t.peers.Load()
	if p := known[id]; p != nil {
		return p
	}
	if t.state != running {
		return nil
	}
	p := &peer{t: t, id: id, used: true}
	more := maps.Clone(known)
	more[id] = p
	t.peers.Store(&more)
	return p
}

// forget removes a peer, which is marked as gone, from the map.
func (t *Transport) forget(p *peer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if known := *t.peers.Load(); known[p.id] == p {
		fewer := maps.Clone(known)
		delete(fewer, p.id)
		t.peers.Store(&fewer)
	}
}

// track notes an open connection, so that the stop can close it. It returns false when the
// stop has begun.
func (t *Transport) track(conn net.Conn, isLink bool) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.state != running {
		return false
	}
	t.conns[conn] = isLink
	return true
}

func (t *Transport) untrack(conn net.Conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.conns, conn)
}

func (t *Transport) closeConns(links bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for conn, isLink := range t.conns {
		if links || !isLink {
			conn.Close()
		}
	}
}
