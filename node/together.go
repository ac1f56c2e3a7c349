package node

import (
	"context"
	"errors"

	"pxkv/node/kv"
	"pxkv/node/local"
	"pxkv/node/replica"
	"pxkv/persist/data"
)

// Reads of one partition that are asked for together are of one moment: nobody sees half of what a
// transaction wrote. They go through the cache and the store one by one, as single reads do, and are
// thrown away when anything of the partition changed meanwhile. That is rare; where it is not, as with
// very many keys or writes, a view of the store is read, past the cache.

// wanted is a key to read, and how much of its value.
type wanted struct {
	key  []byte
	part kv.Part
	// little: all of it is wanted, and no more asked for than part.
	little bool
}

// togetherTries is how often keys are read one by one before a view is opened.
const togetherTries = 4

// getting reads one of several keys. Due is as in readLocal.
type getting func(wanted) (res kv.ReadResult, due bool, e *kv.Error)

// readTogether reads keys of a partition whose local state the caller has shown to be fresh, as
// they all are at one moment, until the values take more than room bytes. Due is as in readLocal.
func (n *Node) readTogether(
	ctx context.Context, h *replica.Handle, keys []wanted, room int,
) (read []kv.ReadResult, due bool, e *kv.Error) {
	for range togetherTries {
		v := local.Fresh(h)
		read, due, e = readEach(ctx, h, keys, room, func(w wanted) (kv.ReadResult, bool, *kv.Error) {
			return n.readLocal(v, w.key, w.part, longestFor(kv.AccountOf(ctx)))
		})
		if e != nil || due || len(keys) == 1 || v.Holds() {
			return read, due, e
		}
		release(ctx, read)
		n.metrics.torn.Inc()
	}
	return n.readView(ctx, h, keys, room)
}

// readView does the same from a view of the store.
func (n *Node) readView(
	ctx context.Context, h *replica.Handle, keys []wanted, room int,
) (read []kv.ReadResult, due bool, e *kv.Error) {
	state, err := n.o.DB.NewView(h.Partition)
	if errors.Is(err, data.ErrNoReplica) {
		return nil, false, errNotHere(h.Partition)
	}
	if err != nil {
		return nil, false, errReading(h.Partition, err)
	}
	v := local.Kept(h, state.Applied())
	read, due, e = readEach(ctx, h, keys, room, func(w wanted) (kv.ReadResult, bool, *kv.Error) {
		k := local.Key{View: v, Name: w.key, Part: w.part}
		n.loads.begin()
		err := k.LoadKept(state)
		n.loads.end()
		if err != nil {
			return kv.ReadResult{}, false, errReading(h.Partition, err)
		}
		return n.result(&k, false)
	})
	if err := state.Close(); err != nil && e == nil {
		e = errReading(h.Partition, err)
	}
	return read, due, e
}

func readEach(
	ctx context.Context, h *replica.Handle, keys []wanted, room int, get getting,
) (read []kv.ReadResult, due bool, e *kv.Error) {
	read = make([]kv.ReadResult, 0, len(keys))
	for _, w := range keys {
		switch {
		case room < 0:
			return read, due, nil
		case ctx.Err() != nil:
			return read, due, errTooLate(h.Partition)
		}
		res, late, e := get(w)
		if e == nil {
			e = hold(ctx, &res)
		}
		if e != nil {
			return read, due, e
		}
		due = due || late
		read = append(read, res)
		room -= len(res.Item.Value.Data)
	}
	return read, due, nil
}
