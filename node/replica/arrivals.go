package replica

import (
	"fmt"
	"slices"
	"sync/atomic"

	"pxkv/node/kv"
)

// arrivals are the snapshots that this node is receiving. Any goroutine may use it: the list is never changed, each
// snapshot that begins or ends makes a new one.
type arrivals struct {
	list atomic.Pointer[[]*SnapshotRequest]
}

// Admit takes a place for a snapshot that another node wants to send; done gives it back, when
// the snapshot is staged or given up. An error wraps the kv.Refusal that the sender is to hear.
// Any goroutine may call both.
func (h *Host) Admit(r SnapshotRequest) (done func(), err error) {
	if !h.Wants(r) {
		return nil, fmt.Errorf("partition %s, replica %d: %w", r.Partition, r.To, kv.NotWanted)
	}
	return h.arrivals.admit(&r, h.cfg.Limits.Snapshots.inPlaces(r.Small))
}

func (a *arrivals) admit(r *SnapshotRequest, places int) (done func(), err error) {
	err = a.change(func(list []*SnapshotRequest) ([]*SnapshotRequest, error) {
		all, learners := 0, 0
		for _, o := range list {
			if o.Partition == r.Partition && o.To == r.To && o.Term >= r.Term {
				return nil, fmt.Errorf("partition %s, replica %d: another snapshot for it is arriving: %w", r.Partition,
					r.To, kv.Busy)
			}
			if o.Small != r.Small {
				continue
			}
			if all++; !o.Urgent {
				learners++
			}
		}
		if all >= places || !r.Urgent && learners >= forLearners(places) {
			return nil,
				fmt.Errorf("partition %s, replica %d: %d are arriving, %d of them for learners, the limit is %d: %w",
					r.Partition, r.To, all, learners, places, kv.Busy)
		}
		return append(list, r), nil
	})
	if err != nil {
		return nil, err
	}
	return func() { a.remove(r) }, nil
}

func (a *arrivals) remove(r *SnapshotRequest) {
	_ = a.change(func(list []*SnapshotRequest) ([]*SnapshotRequest, error) {
		return slices.DeleteFunc(list, func(o *SnapshotRequest) bool { return o == r }), nil
	})
}

// change puts what f makes of a copy of the list in its place, unless f fails; f is called again when somebody else
// was faster.
func (a *arrivals) change(f func([]*SnapshotRequest) ([]*SnapshotRequest, error)) error {
	for {
		var copied []*SnapshotRequest
		was := a.list.Load()
		if was != nil {
			copied = slices.Clone(*was)
		}
		list, err := f(copied)
		if err != nil {
			return err
		}
		if a.list.CompareAndSwap(was, &list) {
			return nil
		}
	}
}

func (a *arrivals) count() int {
	if list := a.list.Load(); list != nil {
		return len(*list)
	}
	return 0
}
