package node

import (
	"context"

	"pxkv/node/kv"
	"pxkv/node/local"
	"pxkv/node/replica"
	"pxkv/persist/data"
)

// visit calls do with all keys of a partition that match and live, where it is led. Neither may keep
// a key.
func (n *Node) visit(
	ctx context.Context, p kv.PartitionID, match func(key []byte) bool, do func(key []byte),
) *kv.Error {
	v, e := n.view(ctx, p)
	if e != nil {
		return e
	}
	now := n.now()
	if v, e = n.decideDue(ctx, v, now); e != nil {
		return e
	}
	err := n.o.DB.Visit(p, match, func(key []byte, deadlineMS int64) {
		if shown, _ := v.Life(deadlineMS, func() replica.Now { return now }, false); shown {
			do(key)
		}
	}, func() bool { return ctx.Err() == nil })
	_, ok := v.Seen()
	switch {
	case ctx.Err() != nil:
		return kv.Errorf(kv.Unavailable, "partition %s: too many keys to look at in time", p)
	case err != nil:
		return kv.Errorf(kv.Internal, "partition %s: look at all keys: %v", p, err)
	case !ok:
		return errNotHere(p)
	}
	return nil
}

// decideDue sees to it that no key of a partition led here is due at a time: where a deadline has
// come that the group's time has not reached, it is brought forward. To find them one by one would
// mean to visit all keys twice.
func (n *Node) decideDue(ctx context.Context, v local.View, now replica.Now) (local.View, *kv.Error) {
	p := v.Partition()
	after, until := v.Due(now)
	due, _, err := n.o.DB.Due(p, data.Due{DeadlineMS: after}, until, 1)
	switch {
	case err != nil:
		return v, kv.Errorf(kv.Internal, "partition %s: look for what is due: %v", p, err)
	case len(due) > 0:
		return n.viewLater(ctx, v)
	}
	return v, nil
}
