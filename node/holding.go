package node

import (
	"context"
	"math"

	"pxkv/node/kv"
)

// What is held for a client is counted on the account of its request (kv.AccountOf): where the bytes
// appear, before anything else is done with them. The front door counts it out when they are
// written. What finds no room is refused, and not tried again here: that would read it once more.
// Requests of other nodes have no account; transport/peer counts their bytes and their answers.

// hold counts a value that was read here.
func hold(ctx context.Context, r *kv.ReadResult) *kv.Error {
	if r.Found && !valuesUncounted && !kv.AccountOf(ctx).Take(itemBytes(&r.Item)) {
		*r = kv.ReadResult{}
		return kv.ErrOverloaded()
	}
	return nil
}

// shortEnough is the length of values that may find room when there is little: they are loaded, and then it is seen.
const shortEnough = 64 << 10

// longestFor is how long a value may be for which there may be room on an account; 0: any. A longer one need not be
// loaded.
func longestFor(a *kv.Account) int64 {
	room := a.Room()
	if room == math.MaxInt64 {
		return 0
	}
	return max(room, shortEnough)
}

// release counts out values that hold counted.
func release(ctx context.Context, read []kv.ReadResult) {
	if a := kv.AccountOf(ctx); a != nil {
		for i := range read {
			a.Give(itemBytes(&read[i].Item))
		}
	}
}

// itemBytes is what an item takes while it is held.
func itemBytes(it *kv.Item) int {
	return len(it.Key) + len(it.Value.Data) + len(it.Value.ContentType)
}

// pageItemBytes is what an item of a page takes besides its bytes.
const pageItemBytes = 128

// loads bounds what is loaded from the store at one time: it may be a value of any length, and can be
// counted only when it is there. Whoever has a place waits for nothing but the disk.
type loads chan struct{}

func (l loads) begin() { l <- struct{}{} }

// beginBefore waits for a place until ctx ends, and reports whether there was one in time.
func (l loads) beginBefore(ctx context.Context) bool {
	select {
	case l <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

func (l loads) end() { <-l }

// quiet reports whether so little is being loaded that a load would soon be done, unless it is long.
func (l loads) quiet() bool { return len(l) <= cap(l)/4 }
