package transfer

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"pxkv/cmd/pxkv/transfer/rdb"
	"pxkv/node/kv"
)

// Import writes the pairs of a file into a cluster.
type Import struct {
	Store    Store         // nil: everything is checked, and nothing written
	IfAbsent bool          // only keys that are not there; of two pairs with one key the first
	Prefix   []byte        // only keys that begin so
	Database uint64        // only keys of this database of a dump
	RetryFor time.Duration // how long a batch is tried in vain before the import ends
	State    *State        // nil: it cannot be resumed
	Now      func() time.Time
	// Fault is told of each pair that cannot be imported, Warn of what is wrong and does not end the import, Progress
	// how far it is; one call at a time each.
	Fault    func(*Fault)
	Warn     func(error)
	Progress func(Progress)
	Bytes    func() int64 // how much of the file is read
	Limits   Limits
}

// Limits bound what is sent at a time. Zero is the default.
type Limits struct {
	Ops       int           // operations of a batch, at most and by default 1,000
	Bytes     int           // of a batch, from which on it is sent; 1 MiB
	Batches   int           // in flight; 4
	SaveEvery time.Duration // how often the state is written at most; 1 s
	Pause     time.Duration // before what failed is sent again; it grows a hundredfold. 50 ms
}

func (l Limits) filled() Limits {
	l.Ops = cmp.Or(l.Ops, 1000)
	l.Bytes = cmp.Or(l.Bytes, 1<<20)
	l.Batches = cmp.Or(l.Batches, 4)
	l.SaveEvery = cmp.Or(l.SaveEvery, time.Second)
	l.Pause = cmp.Or(l.Pause, 50*time.Millisecond)
	return l
}

// Run reads all pairs and writes them, and returns what became of them. When ctx ends, or what is sent finds no end, it
// is an error; what is in flight is waited for, and the state tells from where to go on.
//
// Pairs of one key are written in the order in which they are in the file: a batch holds no key twice, and waits for
// those in flight that have one of its keys.
func (im *Import) Run(ctx context.Context, from *Reader) (Counts, error) {
	r := &running{Import: im, limits: im.Limits.filled(), next: newBatch(), tell: teller{tell: im.Progress}}
	r.room = make(chan struct{}, r.limits.Batches)
	r.keys = make(map[uint64]struct{})
	if im.State != nil {
		r.counts, r.entries, r.tell.before = im.State.Counts, im.State.Entries, im.State.begun
	}
	err := r.read(ctx, from)
	if err == nil {
		err = r.dispatch(ctx)
	}
	r.flying.Wait()
	r.saves.Wait()
	if err = r.reason(err); err != nil && r.State != nil {
		r.State.Entries, r.State.Counts = r.entries, r.counts
		r.save(im.Now())
	}
	return r.counts, err
}

// reason is why the import ended, if it did not end well. That something may have been written outweighs who stopped
// it.
func (r *running) reason(err error) error {
	if r.failed == nil {
		return err
	}
	f, ok := errors.AsType[*Failure](r.failed)
	if err == nil || errors.Is(err, errStopped) || ok && f.Ending == Unknown {
		return fmt.Errorf("all pairs up to pair %d are done with, then: %w", r.entries, r.failed)
	}
	return err
}

// running is an import that runs.
type running struct {
	*Import
	limits Limits
	next   *batch
	room   chan struct{} // a place for each batch in flight
	flying sync.WaitGroup
	saves  sync.WaitGroup
	tell   teller

	mu      sync.Mutex
	open    []*batch // that are not done, or have one before them that is not; in the order of the file
	keys    map[uint64]struct{}
	counts  Counts // of all that is before the first open batch
	entries int    // and the number of its last pair
	failed  error
	saving  bool // the state is being written, and is the writer's
	warned  bool
}

// errStopped is that a batch failed, which has the reason.
var errStopped = errors.New("stopped")

// read reads to the end of the file, and sends what becomes full.
func (r *running) read(ctx context.Context, from *Reader) error {
	for number := 1; ; number++ {
		e, err := from.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		fault, bad := errors.AsType[*Fault](err)
		if bad && fault.Last && ctx.Err() != nil {
			return context.Cause(ctx) // which ended what it reads
		}
		if r.Bytes != nil {
			r.tell.at(number, r.Bytes())
		}
		if number <= r.resumed() {
			if bad && fault.Last {
				return nil
			}
			continue
		}
		r.next.through = number
		switch {
		case from.Format == Dump && !(bad && fault.Last) && e.Database != r.Database:
			r.next.counts.Elsewhere++
		case bad:
			r.next.counts.Bad++
			r.report(fault)
			if fault.Last {
				return nil
			}
		case e.Type != rdb.String:
			*r.next.counts.Others.of(e.Type)++
		case !bytes.HasPrefix(e.Key, r.Prefix):
			r.next.counts.Filtered++
		case kv.Expired(e.Expires, r.Now().UnixMilli()):
			r.next.counts.Expired++
		case r.Store == nil:
			r.next.counts.Imported++
		default:
			if err := r.put(ctx, &e); err != nil {
				return err
			}
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
}

// resumed is up to which pair all was done when this run began.
func (r *running) resumed() int {
	if r.State == nil {
		return 0
	}
	return r.State.begun
}

// put adds a pair to the next batch, which it may send before and after.
func (r *running) put(ctx context.Context, e *Entry) error {
	hash := hashOf(e.Key)
	var raw *Entry
	if e.Raw {
		var fault *Fault
		if raw, fault = e.raw(); fault != nil {
			r.next.counts.Bad++
			r.report(fault)
			return nil
		}
	}
	if r.next.has(hash) || raw != nil && len(r.next.ops) > 0 {
		r.next.through-- // this pair is none of it
		if err := r.dispatch(ctx); err != nil {
			return err
		}
		r.next.through = e.Number
	}
	if r.inFlight(hash) {
		r.flying.Wait()
	}
	if raw != nil {
		r.next.addRaw(raw, hash, r.IfAbsent)
		return r.dispatch(ctx)
	}
	r.next.add(e, hash, r.IfAbsent)
	if len(r.next.ops) >= r.limits.Ops || len(r.next.text) >= r.limits.Bytes {
		return r.dispatch(ctx)
	}
	return nil
}

func (r *running) inFlight(hash uint64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, ok := r.keys[hash]
	return ok
}

// dispatch sends the next batch, once there is room, and begins another one.
func (r *running) dispatch(ctx context.Context) error {
	b := r.next
	r.next = newBatch()
	r.next.through = b.through // the last one may be empty, and takes back nothing of what is done
	select {
	case r.room <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failed != nil {
		<-r.room
		return errStopped
	}
	r.open = append(r.open, b)
	for hash := range b.keys {
		r.keys[hash] = struct{}{}
	}
	r.flying.Go(func() {
		defer func() { <-r.room }()
		r.carryOut(ctx, b)
	})
	return nil
}

// carryOut sends a batch, and notes what became of it.
func (r *running) carryOut(ctx context.Context, b *batch) {
	var counts Counts
	var err error
	if len(b.ops) > 0 {
		s := sender{store: r.Store, retryFor: r.RetryFor, pause: r.limits.Pause, fault: r.report, stop: ctx.Done()}
		// What is under way is not cut off: its outcome would not be known.
		counts, err = s.send(context.WithoutCancel(ctx), b)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, op := range b.ops {
		delete(r.keys, op.key)
	}
	b.counts.add(counts)
	if err != nil {
		r.failed = worse(r.failed, err)
		return
	}
	b.done, b.text, b.ops, b.keys = true, nil, nil, nil // it may wait long for those before it
	for len(r.open) > 0 && r.open[0].done {
		r.counts.add(r.open[0].counts)
		r.entries = r.open[0].through
		r.open = r.open[1:]
	}
	if r.State == nil || r.saving || r.entries == r.State.Entries {
		return // what is behind one that is under way is not there to be saved yet
	}
	if now := r.Now(); now.Sub(r.State.saved) >= r.limits.SaveEvery {
		r.saving, r.State.Entries, r.State.Counts = true, r.entries, r.counts
		r.saves.Go(func() { // nothing waits for the disk of the client
			r.save(now)
			r.mu.Lock()
			defer r.mu.Unlock()
			r.saving = false
		})
	}
}

// save writes what the state says; nobody else has it meanwhile.
func (r *running) save(now time.Time) {
	err := r.State.save(now)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil && !r.warned {
		r.warned = true
		r.Warn(fmt.Errorf("this import begins anew if interrupted, since how far it is cannot be kept: %w", err))
	}
}

func (r *running) report(f *Fault) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Fault(f)
}
