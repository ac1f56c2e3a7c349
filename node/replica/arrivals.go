package replica

import (
	"fmt"
	"slices"
	"sync"

	"pxkv/node/kv"
)

// arrivals are the snapshots that this node is receiving. Any goroutine may use it.
type arrivals struct {
	mu   sync.Mutex
	list []*SnapshotRequest
}

// Admit takes a place for a snapshot that another node wants to send; done gives it back, when
// the snapshot is staged or given up. An error wraps the kv.Refusal that the sender is to hear.
// Any goroutine may call it.
func (h *Host) Admit(r SnapshotRequest) (done func(), err error) {
	if !h.Wants(r) {
		return nil, fmt.Errorf("partition %s, replica %d: %w", r.Partition, r.To, kv.NotWanted)
	}
	a, places := &h.arrivals, h.cfg.Limits.Snapshots.In
	a.mu.Lock()
	defer a.mu.Unlock()
	learners := 0
	for _, o := range a.list {
		if o.Partition == r.Partition && o.To == r.To && o.Term >= r.Term {
			return nil, fmt.Errorf("partition %s, replica %d: another snapshot for it is arriving: %w", r.Partition,
				r.To, kv.Busy)
		}
		if !o.Urgent {
			learners++
		}
	}
	if len(a.list) >= places || !r.Urgent && learners >= forLearners(places) {
		return nil,
			fmt.Errorf("partition %s, replica %d: %d are arriving, %d of them for learners, the limit is %d: %w",
				r.Partition, r.To, len(a.list), learners, places, kv.Busy)
	}
	a.list = append(a.list, &r)
	return sync.OnceFunc(func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.list = slices.DeleteFunc(a.list, func(o *SnapshotRequest) bool { return o == &r })
	}), nil
}

func (a *arrivals) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.list)
}
