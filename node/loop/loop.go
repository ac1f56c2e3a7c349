package loop

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pxkv/node/entry"
	"pxkv/node/kv"
	"pxkv/node/replica"
	"pxkv/persist"
)

// Sender carries bytes to other nodes. transport/peer is one.
type Sender interface {
	// Send queues a frame and takes it over. It never blocks; a dropped frame is not an error.
	Send(to kv.NodeID, frame []byte) bool
	// SendSnapshot streams what write writes and returns when the receiver has it staged.
	SendSnapshot(ctx context.Context, to kv.NodeID, header []byte, write func(io.Writer) error) error
}

// Options say what a Loop works with. All but Logger and Metrics are required.
type Options struct {
	Host    *replica.Host
	DB      *persist.DB
	Sender  Sender
	Clock   func() replica.Now
	Logger  *slog.Logger
	Metrics prometheus.Registerer // nil: none
	// MoveRate is how many bytes of snapshots a second leave at most, of all together. 0: as many as can.
	MoveRate int64
	// Asked grows with each read that is answered beside the loop. nil: there are none.
	Asked func() uint64
}

const maxInboxBytes = 128 << 20 // of writes and messages not yet taken by a turn

// Loop drives one Host: a goroutine takes the turns, another commits the jobs, and a third sees to it
// that turns go on (relief.go).
type Loop struct {
	o       Options
	log     *slog.Logger
	metrics metrics
	inbox   inbox
	jobs    chan *replica.Job
	sends   sync.WaitGroup // shipments under way
	failed  chan error
	ended   chan struct{} // Run has returned, or is about to: no turn follows
	// lastSync is how long the last commit with an fsync took, in nanoseconds.
	lastSync atomic.Int64
	own      ownCommits
	taken    atomic.Uint64 // turns
	still    atomic.Bool   // none has ended for a while
	pace     pace          // of snapshots
}

// New returns a Loop that has not started.
func New(o Options) *Loop {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	l := &Loop{
		o: o, log: o.Logger,
		metrics: newMetrics(o.Metrics, o.Host.Stats()),
		inbox:   inbox{wake: make(chan struct{}, 1)},
		jobs:    make(chan *replica.Job, 1),
		failed:  make(chan error, 1),
		ended:   make(chan struct{}),
		own:     ownCommits{rouse: make(chan struct{}, 1)},
	}
	l.pace = pace{rate: o.MoveRate, asked: l.asked}
	return l
}

// asked grows with each request for this node, or for a leader that this node follows.
func (l *Loop) asked() uint64 {
	n := l.inbox.asked.Load()
	if l.o.Asked != nil {
		n += l.o.Asked()
	}
	return n
}

// Handle returns what is known of this node's replica of p, or nil.
func (l *Loop) Handle(p kv.PartitionID) *replica.Handle { return l.o.Host.Handle(p) }

// Write submits writes with one wakeup. Replies come on the loop's goroutine: they must not
// block.
func (l *Loop) Write(ops ...replica.Op) {
	err := l.refusal()
	if err == nil {
		err = l.inbox.write(ops)
	}
	if err != nil {
		for _, op := range ops {
			op.Reply(entry.Reply{Err: err})
		}
	}
}

// Read asks for linearizable reads with one wakeup.
func (l *Loop) Read(reads ...replica.ReadOp) {
	err := l.refusal()
	if err == nil {
		err = l.inbox.read(reads)
	}
	if err != nil {
		for _, op := range reads {
			op.Reply(err)
		}
	}
}

// refusal says why nothing is taken in: what is asked of a loop that stands still is certainly not
// done, and can be asked of others.
func (l *Loop) refusal() *kv.Error {
	if l.StandsStill() {
		return kv.Errorf(kv.Unavailable, "the node stands still: does its disk hang?")
	}
	return nil
}

// Deliver hands over messages that arrived from other nodes. When the loop is far behind
// they are dropped: Raft sends again.
func (l *Loop) Deliver(ms []replica.Message) {
	if !l.inbox.deliver(ms) {
		l.metrics.dropped.Add(float64(len(ms)))
	}
}

// Unreachable reports that frames to a node are being lost.
func (l *Loop) Unreachable(n kv.NodeID) {
	l.inbox.put(func(in *replica.Input) {
		if !slices.Contains(in.Unreachable, n) {
			in.Unreachable = append(in.Unreachable, n)
		}
	})
}

// Disconnected reports how the connection with a node has just broken, or that none came about.
func (l *Loop) Disconnected(d replica.Disconnection) {
	l.inbox.put(func(in *replica.Input) {
		if !slices.Contains(in.Disconnected, d) {
			in.Disconnected = append(in.Disconnected, d)
		}
	})
}

// Queued counts the inputs of all kinds that wait for the next turn.
func (l *Loop) Queued() int { return l.inbox.queued() }

// Do runs f on the goroutine of the turns and waits for it. An error says that f has not run, unless
// it is ctx's: then it may still.
func (l *Loop) Do(ctx context.Context, f func(*replica.Host)) error {
	done := make(chan struct{})
	ok := l.inbox.put(func(in *replica.Input) {
		in.Orders = append(in.Orders, func(h *replica.Host) { f(h); close(done) })
	})
	if !ok {
		return kv.Errorf(kv.Unavailable, "node is shutting down")
	}
	select {
	case <-done:
		return nil
	case <-l.ended:
		select {
		case <-done:
			return nil
		default:
			return kv.Errorf(kv.Unavailable, "node is shutting down")
		}
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Run takes turns until ctx ends or the node must stop, and returns when every goroutine has
// ended and every waiting request was answered. A non-nil error is the node's last word; then the
// answers go out before anything is waited for.
func (l *Loop) Run(ctx context.Context) error {
	inner, cancel := context.WithCancel(ctx)
	over, done := make(chan error, 1), make(chan struct{})
	take := func() {
		if err := l.turns(inner); !errors.Is(err, errRelieved) {
			over <- err
		}
	}
	var crew sync.WaitGroup
	crew.Go(l.persist)
	crew.Go(take)
	crew.Go(func() { l.watch(done, func() { crew.Go(take) }) })
	err := <-over
	cancel()
	close(done)
	l.end(err)
	close(l.jobs)
	crew.Wait()
	l.sends.Wait()
	return err
}

// end answers all that waits. The last job may still be on its way to the disk: its promises are
// true, and go out.
func (l *Loop) end(failed error) {
	defer close(l.ended)
	rest := l.inbox.close()
	for _, s := range rest.Snapshots {
		s.Staged.Discard()
	}
	stopping := kv.Errorf(kv.Unavailable, "node is shutting down")
	for _, op := range rest.Ops {
		op.Reply(entry.Reply{Err: stopping})
	}
	for _, op := range rest.Reads {
		op.Reply(stopping)
	}
	if failed == nil { // else nobody may look at what is broken
		for _, order := range rest.Orders {
			order(l.o.Host)
		}
	}
	l.o.Host.Shutdown()
}

// turns takes turns until ctx ends, the node must stop, or another goroutine takes them.
func (l *Loop) turns(ctx context.Context) error {
	ticker := time.NewTicker(l.o.Host.TickLength())
	defer ticker.Stop()
	tick := false
	var in replica.Input
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-l.failed:
			return err
		case <-ticker.C:
			tick = true
		case <-l.inbox.wake:
			// Let the goroutines that were woken with this one submit too: one turn for all of
			// them is cheaper than a turn each.
			runtime.Gosched()
		}
		l.inbox.swap(&in)
		in.Tick = tick
		tick = false
		// The clock is read after the input was taken: a lease that has ended by now must not
		// serve a request that arrived before.
		now := l.o.Clock()
		out, err := l.o.Host.Turn(now, &in)
		if err != nil {
			return err
		}
		l.taken.Add(1)
		l.release(ctx, out)
		if err := l.startJob(); err != nil {
			return err
		}
	}
}

func (l *Loop) release(ctx context.Context, out replica.Output) {
	l.send(out.Frames)
	for _, s := range out.Snapshots {
		l.ship(ctx, s)
	}
	if out.More {
		l.inbox.signal()
	}
}

// send lets frames leave. The groups hear of one that was dropped, so that they slow down
// instead of sending more of what cannot arrive.
func (l *Loop) send(fs []replica.Frame) {
	for _, f := range fs {
		if !l.o.Sender.Send(f.To, f.Data) {
			l.metrics.refused.Inc()
			l.Unreachable(f.To)
		}
	}
}

// quickSync is how long a commit may take that is made between two turns. Slower disks are
// waited for by the persister alone.
const quickSync = 500 * time.Microsecond

// startJob gives the next job to the persister. One that waits for nothing is done at once; so
// is one that finds an empty inbox and a fast disk, since two wakeups would cost a lone write
// more than the turns that are held up meanwhile. When the disk turns out to be slow, others go on
// with the turns.
func (l *Loop) startJob() error {
	j := l.o.Host.TakeJob()
	if j == nil {
		return nil
	}
	if j.NeedsSync() && (l.lastSync.Load() > int64(quickSync) || j.Waits() || l.inbox.queued() > 0) {
		l.jobs <- j // never blocks: one job is under way at most
		return nil
	}
	return l.commitHere(j)
}

func (l *Loop) commit(j *replica.Job) error {
	sync, began := j.NeedsSync(), time.Now()
	if err := j.Commit(); err != nil {
		return fmt.Errorf("write to disk: %w", err)
	}
	if sync {
		l.lastSync.Store(int64(time.Since(began)))
	}
	l.send(j.Frames())
	l.inbox.put(func(in *replica.Input) { in.Finished = append(in.Finished, j) })
	return nil
}

func (l *Loop) persist() {
	for j := range l.jobs {
		if err := l.commit(j); err != nil {
			l.failed <- err
			return
		}
	}
}
