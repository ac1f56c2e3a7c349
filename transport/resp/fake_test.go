package resp

import (
	"bytes"
	"cmp"
	"context"
	"iter"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pxkv/node/kv"
	"pxkv/ring"
)

// fake is a Service of one process: a map. What operations mean is tested with real nodes; here
// it is enough that puts, reads, deletes and sums work.
type fake struct {
	mu      sync.Mutex
	items   map[string]kv.Item
	version uint64
	failing *kv.Error // of every operation
	// afterRead is called with the lock held.
	afterRead func()
	batches   []int         // sizes of Batch calls
	blocked   chan struct{} // writes wait until it is closed
	waiting   atomic.Int32  // writes that do
	together  int           // bytes of values above which one Batch returns no more, 0 for any
	asked     []kv.Part     // by reads
	slow      time.Duration // what List takes
	view      kv.ClusterView
	parts     []kv.PartitionView
}

func newFake() *fake {
	return &fake{items: map[string]kv.Item{}, view: kv.ClusterView{Node: "n1", Partitions: 4, Replicas: 3}}
}

func (f *fake) apply(c *kv.Command) (r kv.Result) {
	old, found := f.items[string(c.Key)]
	if c.ReturnOld && found {
		r.Item = &old
	}
	r.Outcome = kv.Done
	switch c.Cond.Kind {
	case kv.CondAbsent:
		if found {
			r.Outcome, r.Version = kv.ConditionFailed, old.Version
			return r
		}
	case kv.CondPresent:
		if !found {
			r.Outcome = kv.ConditionFailed
			return r
		}
	case kv.CondValue, kv.CondVersion:
		if c.Cond.Kind == kv.CondValue && (!found || string(old.Value.Data) != string(c.Cond.Value)) ||
			c.Cond.Kind == kv.CondVersion && (!found || old.Version != c.Cond.Version) {
			r.Outcome, r.Version = kv.ConditionFailed, old.Version
			return r
		}
	}
	put := func(v []byte) {
		f.version++
		f.items[string(c.Key)] = kv.Item{
			Value: value(bytes.Clone(v)), Version: f.version, Deadline: deadlineOf(c.Expiry),
		}
	}
	switch c.Op {
	case kv.OpPut:
		put(c.Value.Data)
	case kv.OpRead:
		f.asked = append(f.asked, c.Part)
		if !found {
			r.Outcome = kv.NotFound
			return r
		}
		r.Number = int64(len(old.Value.Data))
		old.Value.Data = c.Part.Of(old.Value.Data)
		r.Item = &old
	case kv.OpDelete:
		if !found {
			r.Outcome = kv.NotFound
		}
		delete(f.items, string(c.Key))
	case kv.OpIncr:
		n := int64(0)
		if found {
			var ok bool
			if n, ok = kv.ParseInt(old.Value.Data); !ok {
				r.Outcome = kv.NotInteger
				return r
			}
		}
		r.Number = n + c.Delta
		put(strconv.AppendInt(nil, r.Number, 10))
	case kv.OpAppend:
		v := append(bytes.Clone(old.Value.Data), c.Value.Data...)
		put(v)
		r.Number = int64(len(v))
	case kv.OpExpire:
		if !found {
			r.Outcome = kv.NotFound
			return r
		}
		f.version++
		old.Version, old.Deadline = f.version, deadlineOf(c.Expiry)
		f.items[string(c.Key)] = old
	default:
		r.Outcome = kv.NotFound // not in this fake
	}
	return r
}

// deadlineOf is what an expiry means where it is always 1,000,000 ms.
func deadlineOf(e kv.Expiry) int64 {
	if e.Kind == kv.ExpiryIn {
		return fakeNow + e.MS
	}
	return e.MS
}

const fakeNow = 1_000_000

func (f *fake) Write(ctx context.Context, cmd *kv.Command) (kv.Result, error) {
	if f.blocked != nil {
		f.waiting.Add(1)
		<-f.blocked
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.failing != nil {
		return kv.Result{}, f.failing
	}
	if ctx.Err() != nil {
		return kv.Result{}, kv.ErrUnknown()
	}
	if string(cmd.Key) == "panic" {
		panic("as the test wants it")
	}
	return f.apply(cmd), nil
}

func (f *fake) Read(ctx context.Context, key []byte, opt kv.ReadOptions) (r kv.ReadResult, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.failing != nil {
		return r, f.failing
	}
	if ctx.Err() != nil {
		return r, errTooLate
	}
	f.asked = append(f.asked, opt.Part)
	r.Item, r.Found = f.items[string(key)]
	r.Length = int64(len(r.Item.Value.Data))
	r.Item.Value.Data = opt.Part.Of(r.Item.Value.Data)
	r.NowMS = fakeNow
	if f.afterRead != nil {
		f.afterRead()
	}
	return r, nil
}

// errTooLate is what a read is told whose time has ended.
var errTooLate = kv.Errorf(kv.Unavailable, "no leader in time")

func (f *fake) Batch(ctx context.Context, commands []kv.Command) []kv.Answer {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.batches = append(f.batches, len(commands))
	answers, read := make([]kv.Answer, len(commands)), 0
	refused := map[string]bool{}
	for i := range commands {
		c := &commands[i]
		if f.together > 0 && (refused[string(c.Key)] || c.Asks() && read > f.together) {
			refused[string(c.Key)] = true
			answers[i] = kv.Answer{Later: true, Err: kv.Errorf(kv.TooLarge, "too much for one batch")}
			continue
		}
		if answers[i].Err = f.failing; ctx.Err() != nil && c.Op == kv.OpRead {
			answers[i].Err = errTooLate
		} else if f.failing == nil {
			answers[i].Result = f.apply(c)
		}
		if item := answers[i].Result.Item; item != nil {
			read += len(item.Value.Data)
		}
	}
	return answers
}

func (f *fake) Transact(_ context.Context, t *kv.Transaction) (r kv.TransactionResult, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.failing != nil {
		return r, f.failing
	}
	for _, w := range t.Watches {
		if f.items[string(w.Key)].Version != w.Version {
			r.Conflict = true
			return r, nil
		}
	}
	for i := range t.Commands {
		r.Results = append(r.Results, f.apply(&t.Commands[i]))
	}
	return r, nil
}

func (f *fake) sorted(order func(a, b string) int) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var keys []string
	for k := range f.items {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, order)
	return keys
}

func (f *fake) List(_ context.Context, q kv.ListQuery) iter.Seq2[kv.Item, error] {
	return func(yield func(kv.Item, error) bool) {
		time.Sleep(f.slow)
		for _, k := range f.sorted(strings.Compare) {
			if strings.HasPrefix(k, string(q.Prefix)) && !yield(kv.Item{Key: []byte(k)}, nil) {
				return
			}
		}
	}
}

func (f *fake) Walk(_ context.Context, from uint64, count int) (keys [][]byte, next uint64, err error) {
	at := func(k string) uint64 { return ring.Position([]byte(k)) }
	for _, k := range f.sorted(func(a, b string) int { return cmp.Compare(at(a), at(b)) }) {
		switch {
		case at(k) < from:
		case len(keys) == count:
			return keys, at(k), nil
		default:
			keys = append(keys, []byte(k))
		}
	}
	return keys, 0, nil
}

func (f *fake) CountKeysInSlot(_ context.Context, slot int) (n int64, err error) {
	for _, k := range f.sorted(strings.Compare) {
		if ring.SlotOf([]byte(k)) == slot {
			n++
		}
	}
	return n, nil
}

func (f *fake) EstimateKeys(ctx context.Context) (int64, error) { return f.CountKeys(ctx) }

func (f *fake) CountKeys(context.Context) (int64, error) {
	return int64(len(f.sorted(strings.Compare))), nil
}

func (f *fake) Cluster() kv.ClusterView        { return f.view }
func (f *fake) Partitions() []kv.PartitionView { return f.parts }
func (f *fake) Ready() error                   { return nil }

// start runs a server on a free port until the test ends.
func start(t testing.TB, f *fake, change func(*Options)) (address string, s *Server) {
	t.Helper()
	o := Options{Listen: "127.0.0.1:0", Service: f}
	if change != nil {
		change(&o)
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return s.Addr().String(), s
}
