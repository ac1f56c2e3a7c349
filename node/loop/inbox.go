package loop

import (
	"sync"
	"sync/atomic"

	pb "go.etcd.io/raft/v3/raftpb"

	"pxkv/node/kv"
	"pxkv/node/replica"
)

// inbox gathers what arrives between two turns: one lock, swapped slices, one wakeup.
type inbox struct {
	mu     sync.Mutex
	in     replica.Input
	bytes  int // of writes and messages
	closed bool
	wake   chan struct{} // one slot
	asked  atomic.Uint64 // times that writes or reads came, or entries with data
}

func (b *inbox) signal() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// put lets f add to the input. It reports false, without calling f, after close.
func (b *inbox) put(f func(*replica.Input)) bool {
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return false
	}
	f(&b.in)
	b.mu.Unlock()
	b.signal()
	return true
}

func (b *inbox) refusal() *kv.Error {
	switch {
	case b.closed:
		return kv.Errorf(kv.Unavailable, "node is shutting down")
	case b.bytes > maxInboxBytes:
		return kv.Errorf(kv.Unavailable, "node is overloaded: try again later")
	}
	return nil
}

func (b *inbox) write(ops []replica.Op) *kv.Error {
	size := 0
	for i := range ops {
		size += ops[i].Size()
	}
	b.mu.Lock()
	if err := b.refusal(); err != nil {
		b.mu.Unlock()
		return err
	}
	b.asked.Add(1)
	b.in.Ops = append(b.in.Ops, ops...)
	b.bytes += size
	b.mu.Unlock()
	b.signal()
	return nil
}

// readSize is what a read that waits counts for.
const readSize = 64

func (b *inbox) read(reads []replica.ReadOp) *kv.Error {
	b.mu.Lock()
	if err := b.refusal(); err != nil {
		b.mu.Unlock()
		return err
	}
	b.asked.Add(1)
	b.in.Reads = append(b.in.Reads, reads...)
	b.bytes += readSize * len(reads)
	b.mu.Unlock()
	b.signal()
	return nil
}

func (b *inbox) deliver(ms []replica.Message) bool {
	size, written, waits := 0, false, true
	for i := range ms {
		size += 128
		waits = waits && ms[i].Kind == replica.Liveness // which the next tick looks at
		if ms[i].Raft != nil {
			for _, e := range ms[i].Raft.Entries {
				size += len(e.GetData())
				written = written || len(e.GetData()) > 0 && e.GetType() == pb.EntryNormal
			}
		}
	}
	if written {
		b.asked.Add(1)
	}
	b.mu.Lock()
	if b.refusal() != nil {
		b.mu.Unlock()
		return false
	}
	b.in.Messages = append(b.in.Messages, ms...)
	b.bytes += size
	b.mu.Unlock()
	if !waits {
		b.signal()
	}
	return true
}

// swap takes what has gathered and leaves the emptied slices of the last turn in its place.
func (b *inbox) swap(used *replica.Input) {
	clear(used.Finished)
	clear(used.Messages)
	clear(used.Snapshots)
	clear(used.Orders)
	clear(used.Ops)
	clear(used.Reads)
	empty := replica.Input{
		Finished: used.Finished[:0], Messages: used.Messages[:0], Snapshots: used.Snapshots[:0],
		Reports:     used.Reports[:0],
		Unreachable: used.Unreachable[:0], Disconnected: used.Disconnected[:0],
		Orders: used.Orders[:0], Ops: used.Ops[:0], Reads: used.Reads[:0],
	}
	b.mu.Lock()
	*used, b.in = b.in, empty
	b.bytes = 0
	b.mu.Unlock()
}

// withdraw takes back the writes and reads that no turn has taken: they are certainly not done.
func (b *inbox) withdraw() (ops []replica.Op, reads []replica.ReadOp) {
	b.mu.Lock()
	defer b.mu.Unlock()
	ops, reads = b.in.Ops, b.in.Reads
	b.in.Ops, b.in.Reads = nil, nil
	for i := range ops {
		b.bytes -= ops[i].Size()
	}
	b.bytes -= readSize * len(reads)
	return ops, reads
}

// queued counts what has gathered since the last swap.
func (b *inbox) queued() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	in := &b.in
	return len(in.Finished) + len(in.Messages) + len(in.Snapshots) + len(in.Reports) + len(in.Unreachable) +
		len(in.Disconnected) + len(in.Orders) + len(in.Ops) + len(in.Reads)
}

// close ends the inbox and returns what no turn will take.
func (b *inbox) close() replica.Input {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	in := b.in
	b.in = replica.Input{}
	return in
}
