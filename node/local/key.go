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
	// Most is how long a whole value may be that is wanted; of a longer one only its length is. 0: any. NotSlow: any,
	// but nothing of what is known to take a while to load.
	Most int64

	item   kv.Item
	length int64 // of the whole value
	found  bool
	asked  bool // the cache was asked
	cached bool // and had it
	passed bool // it knew that this is too long to be wanted
	token  cache.Token
}

// NotSlow is a Most.
const NotSlow = -1

// Cached looks the key up in the cache.
func (k *Key) Cached(c *cache.Cache) bool {
	k.item, k.cached, k.token = c.Get(k.Name)
	k.asked, k.found, k.length = true, k.cached, int64(len(k.item.Value.Data))
	if k.cached || k.Most == 0 {
		return k.cached
	}
	// Who wants no long value need not wait until it is loaded.
	item, length, ok := c.Long(k.Name)
	if k.passed = ok && (k.Most == NotSlow || length > k.Most && k.Part.Kind == kv.WholeValue); k.passed {
		k.item, k.length, k.found, k.asked = item, length, true, false
	}
	return k.passed
}

// Load reads the key from the store. An error is one of the disk, or data.ErrNoReplica.
func (k *Key) Load(s *data.Store) error {
	if k.Most > 0 && k.Part.Kind == kv.WholeValue {
		return k.take(s.GetUpTo(k.View.h.Partition, k.Name, k.Most))
	}
	return k.take(s.GetPart(k.View.h.Partition, k.Name, k.Part))
}

// TooLong reports whether what was found is longer than Most.
func (k *Key) TooLong() bool {
	return k.passed || k.Most > 0 && k.found && k.length > k.Most && k.Part.Kind == kv.WholeValue
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
	case !k.asked:
	case k.length > int64(len(k.item.Value.Data)):
		c.FillLong(k.Name, k.item, k.length, k.token)
	case k.Part.Kind == kv.WholeValue:
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
