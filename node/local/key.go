package local

import (
	"pxkv/node/cache"
	"pxkv/node/kv"
	"pxkv/node/replica"
	"pxkv/persist/data"
)

// Key is one key of a view on its way to a result: Cached, then Load unless that had it, then Result. A
// stale read goes past the cache, which only leaders keep.
type Key struct {
	View View
	Name []byte
	Part kv.Part // of the value; the zero Part is all of it

	item   kv.Item
	length int64 // of the whole value
	found  bool
	asked  bool // the cache was asked
	cached bool // and had it
	token  cache.Token
}

// Cached looks the key up in the cache.
func (k *Key) Cached(c *cache.Cache) bool {
	k.item, k.cached, k.token = c.Get(k.Name)
	k.asked, k.found, k.length = true, k.cached, int64(len(k.item.Value.Data))
	return k.cached
}

// Load reads the key from the store. An error is one of the disk, or data.ErrNoReplica.
func (k *Key) Load(s *data.Store) error {
	return k.take(s.GetPart(k.View.h.Partition, k.Name, k.Part))
}

// LoadKept reads it from a state that the store keeps: see Kept.
func (k *Key) LoadKept(v *data.View) error { return k.take(v.GetPart(k.Name, k.Part)) }

func (k *Key) take(rec data.Record, length int64, found bool, err error) error {
	if err == nil && found {
		k.item, k.length, k.found = rec.Item(), length, true
	}
	return err
}

// Found reports whether the key was there, expired or not.
func (k *Key) Found() bool { return k.found }

// Result judges what was found, and leaves it to the cache when that had been asked and no change came in
// between. Without ok nothing counts, see View.Seen; when due, it counts only once the group's time has been
// brought forward and the key was read again. The result has no node's name.
func (k *Key) Result(c *cache.Cache, clock func() replica.Now, stale bool) (res kv.ReadResult, due, ok bool) {
	index, ok := k.View.Seen()
	res.Receipt.Partition, res.Receipt.Index = k.View.h.Partition, index
	if !ok || !k.found {
		return res, false, ok
	}
	switch {
	case k.cached:
		k.item.Value.Data = k.Part.Of(k.item.Value.Data)
	case k.asked && k.Part.Kind == kv.WholeValue:
		c.Fill(k.Name, k.item, k.token)
	}
	if k.item.Deadline != 0 {
		now := clock()
		var shown bool
		if shown, due = k.View.life(k.item.Deadline, now, stale); !shown {
			return res, false, true
		}
		res.NowMS = k.View.h.Clock(now)
	}
	res.Found, res.Item, res.Length = true, k.item, k.length
	return res, due, true
}
