package replica

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

	"pxkv/node/kv"
	"pxkv/persist"
)

// Sender carries bytes to other nodes. transport/peer is one.
type Sender interface {
	// Send queues a frame and takes it over. It never blocks; a dropped frame is not an error.
	Send(to kv.NodeID, frame []byte) bool
	// SendSnapshot streams what write writes and returns when the receiver has it staged.
	SendSnapshot(ctx context.Context, to kv.NodeID, header []byte, write func(io.Writer) error) error
}

// LoopOptions say what a Loop works with.
type LoopOptions struct {
	Host    *Host
	DB      *persist.DB
	Sender  Sender
	Clock   func() Now
	Logger  *slog.Logger
	Metrics prometheus.Registerer // nil: none
}

const (
	snapshotsOut     = 2                // under way at once from this node
	snapshotsWaiting = 1024             // beyond it a request fails and is made again later
	snapshotTimeout  = 10 * time.Minute // of one transfer
	maxInboxBytes    = 128 << 20        // of writes and messages not yet taken by a turn
)

// Loop drives one Host: a goroutine takes the turns, another commits the jobs.
type Loop struct {
	o       LoopOptions
	log     *slog.Logger
	metrics loopMetrics
	inbox   inbox
	jobs    chan *Job
	sends   sync.WaitGroup
	slots   chan struct{} // snapshots under way
	waiting chan struct{} // snapshots under way or waiting
	failed  chan error
	// lastSync is how long the last commit with an fsync took, in nanoseconds.
	lastSync atomic.Int64
}

// NewLoop returns a Loop that has not started.
func NewLoop(o LoopOptions) *Loop {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Loop{
		o: o, log: o.Logger,
		metrics: newLoopMetrics(o.Metrics, o.Host.Stats()),
		inbox:   inbox{wake: make(chan struct{}, 1)},
		jobs:    make(chan *Job, 1),
		slots:   make(chan struct{}, snapshotsOut),
		waiting: make(chan struct{}, snapshotsWaiting),
		failed:  make(chan error, 1),
	}
}

// Handle returns what is known of this node's replica of p, or nil.
func (l *Loop) Handle(p kv.PartitionID) *Handle { return l.o.Host.Handle(p) }

// Write submits writes with one wakeup. Replies come on the loop's goroutine: they must not
// block.
func (l *Loop) Write(ops ...Op) {
	if err := l.inbox.write(ops); err != nil {
		for _, op := range ops {
			op.Reply(Reply{Err: err})
		}
	}
}

// Read asks for linearizable reads with one wakeup.
func (l *Loop) Read(reads ...ReadOp) {
	if err := l.inbox.read(reads); err != nil {
		for _, op := range reads {
			op.Reply(err)
		}
	}
}

// Deliver hands over messages that arrived from other nodes. When the loop is far behind
// they are dropped: Raft sends again.
func (l *Loop) Deliver(ms []Message) {
	if !l.inbox.deliver(ms) {
		l.metrics.dropped.Add(float64(len(ms)))
	}
}

// Unreachable reports that frames to a node are being lost.
func (l *Loop) Unreachable(n kv.NodeID) {
	l.inbox.put(func(in *Input) {
		if !slices.Contains(in.Unreachable, n) {
			in.Unreachable = append(in.Unreachable, n)
		}
	})
}

// Do runs f on the goroutine of the turns and waits for it.
func (l *Loop) Do(ctx context.Context, f func(*Host)) error {
	done := make(chan struct{})
	ok := l.inbox.put(func(in *Input) {
		in.Orders = append(in.Orders, func(h *Host) { f(h); close(done) })
	})
	if !ok {
		return kv.Errorf(kv.Unavailable, "node is shutting down")
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// ReceiveSnapshot stages an arriving snapshot and hands it to its replica.
func (l *Loop) ReceiveSnapshot(from kv.NodeID, header []byte, body io.Reader) error {
	req, err := DecodeSnapshotRequest(header)
	if err != nil {
		return err
	}
	if !l.o.Host.Wants(req) {
		return fmt.Errorf("partition %s: replica %d is not on this node", req.Partition, req.To)
	}
	staged, err := l.o.DB.StageSnapshot(req.Partition, body)
	if err != nil {
		return fmt.Errorf("partition %s: stage snapshot: %w", req.Partition, err)
	}
	// The stream must end where the snapshot does: only then is all of it known to be unchanged.
	if n, err := io.Copy(io.Discard, io.LimitReader(body, 1)); n > 0 || err != nil {
		staged.Discard()
		return fmt.Errorf("partition %s: %d bytes after the snapshot's end: %w", req.Partition, n, err)
	}
	if !l.inbox.put(func(in *Input) {
		in.Snapshots = append(in.Snapshots, ArrivedSnapshot{Request: req, FromNode: from, Staged: staged})
	}) {
		staged.Discard()
		return errors.New("node is shutting down")
	}
	return nil
}

// Run takes turns until ctx ends or the node must stop, and returns when every goroutine has
// ended and every waiting request was answered. A non-nil error is the node's last word.
func (l *Loop) Run(ctx context.Context) error {
	inner, cancel := context.WithCancel(ctx)
	var persister sync.WaitGroup
	persister.Go(func() { l.persist() })
	err := l.turns(inner)
	cancel()
	close(l.jobs)
	persister.Wait()
	l.sends.Wait()
	rest := l.inbox.close()
	for _, s := range rest.Snapshots {
		s.Staged.Discard()
	}
	stopping := kv.Errorf(kv.Unavailable, "node is shutting down")
	for _, op := range rest.Ops {
		op.Reply(Reply{Err: stopping})
	}
	for _, op := range rest.Reads {
		op.Reply(stopping)
	}
	for _, order := range rest.Orders {
		order(l.o.Host)
	}
	l.o.Host.Shutdown()
	return err
}

func (l *Loop) turns(ctx context.Context) error {
	ticker := time.NewTicker(l.o.Host.cfg.Tick)
	defer ticker.Stop()
	tick := false
	var in Input
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
		l.release(ctx, out)
		if err := l.startJob(); err != nil {
			return err
		}
	}
}

func (l *Loop) release(ctx context.Context, out Output) {
	l.send(out.Frames)
	for _, r := range out.Snapshots {
		l.sendSnapshot(ctx, r)
	}
	if out.More {
		l.inbox.signal()
	}
}

// send lets frames leave. The groups hear of one that was dropped, so that they slow down
// instead of sending more of what cannot arrive.
func (l *Loop) send(fs []Frame) {
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
// more than the turns that are held up meanwhile.
func (l *Loop) startJob() error {
	j := l.o.Host.TakeJob()
	if j == nil {
		return nil
	}
	if j.NeedsSync() && (l.lastSync.Load() > int64(quickSync) || j.installs() || !l.inbox.empty()) {
		l.jobs <- j // never blocks: one job is under way at most
		return nil
	}
	return l.commit(j)
}

func (l *Loop) commit(j *Job) error {
	sync, began := j.NeedsSync(), time.Now()
	if err := j.Commit(); err != nil {
		return fmt.Errorf("write to disk: %w", err)
	}
	if sync {
		l.lastSync.Store(int64(time.Since(began)))
	}
	l.send(j.Frames())
	l.inbox.put(func(in *Input) { in.Finished = append(in.Finished, j) })
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

// sendSnapshot streams a snapshot in its own goroutine and reports how it ended.
func (l *Loop) sendSnapshot(ctx context.Context, r SnapshotRequest) {
	report := func(failed bool) {
		l.inbox.put(func(in *Input) { in.Reports = append(in.Reports, SnapshotReport{r, failed}) })
	}
	select {
	case l.waiting <- struct{}{}:
	default:
		report(true)
		return
	}
	l.sends.Go(func() {
		defer func() { <-l.waiting }()
		select {
		case l.slots <- struct{}{}:
			defer func() { <-l.slots }()
		case <-ctx.Done():
			return
		}
		ctx, cancel := context.WithTimeout(ctx, snapshotTimeout)
		defer cancel()
		err := l.streamSnapshot(ctx, r)
		if err != nil {
			l.log.Debug("snapshot not sent", "partition", r.Partition.String(), "to", r.ToNode.String(), "err", err)
		}
		report(err != nil)
	})
}

func (l *Loop) streamSnapshot(ctx context.Context, r SnapshotRequest) error {
	s, err := l.o.DB.OpenSnapshot(r.Partition)
	if err != nil {
		return err
	}
	defer s.Close()
	return l.o.Sender.SendSnapshot(ctx, r.ToNode, r.AppendTo(nil), func(w io.Writer) error {
		_, err := s.WriteTo(w)
		return err
	})
}
