// Package cache keeps decoded values in front of the store, so that a GET of a hot key needs
// neither Pebble nor a decoder. It is never stale: whoever changes keys brackets the change
// with Begin and End, and a value that was read before Begin is not kept after it.
//
// What a leader writes is kept at once, for its own reads.
//
// It is an LRU (hashicorp/golang-lru) in stripes with a lock each, which hears of a sample of the
// hits. Callers: node fills and
// reads it; node/replica brackets changes.
package cache

import (
	"sync"
	"unsafe"

	"github.com/cespare/xxhash/v2"
	"github.com/hashicorp/golang-lru/v2/simplelru"

	"pxkv/node/kv"
)

const (
	stripes = 16
	// maxBytes is what all values together may take; maxValue is the largest worth keeping:
	// for larger ones the copy out of the store is not what a GET costs.
	maxBytes = 64 << 20
	maxValue = 16 << 10
	// promoteEvery is how many lookups of a stripe go by until one tells the LRU of its hit.
	promoteEvery = 8
)

// Cache is safe for use by many goroutines. A nil Cache keeps nothing.
type Cache struct {
	stripes [stripes]stripe
}

type stripe struct {
	mu    sync.Mutex
	lru   *simplelru.LRU[string, *slot]
	bytes int
	hits  uint64
	// gen changes whenever a key of the stripe begins or ends to change. A Fill whose Token is
	// of another gen read a value that may be old: before the change, or in the middle of it.
	gen uint64
	// busy counts keys between Begin and End. While one changes nothing of the stripe is kept:
	// one reader could have seen the new value already, and a later one must not be given the old.
	busy int
	_    [64]byte // keeps the locks of two stripes off one cache line
}

// slot is what is kept of a key. It stays while its key changes, so that a key that is written
// again and again costs no new entry each time.
type slot struct {
	item     kv.Item // without its data where that is long
	length   int     // of data that is long, which is not kept; 0: it is here
	changing bool    // between Begin and End: as if it was not there
}

// Token remembers when a read began.
type Token struct{ gen uint64 }

// New returns a Cache of so many entries; nil for 0 or less.
func New(entries int) *Cache {
	if entries <= 0 {
		return nil
	}
	c := &Cache{}
	for i := range c.stripes {
		s := &c.stripes[i]
		// The error is only for sizes below 1.
		s.lru, _ = simplelru.NewLRU((entries+stripes-1)/stripes, func(_ string, sl *slot) {
			s.bytes -= weight(&sl.item)
		})
	}
	return c
}

// Get returns the item of a key, without its Key, and a Token for Fill when it is not there.
// The item's bytes are shared: do not write to them.
func (c *Cache) Get(key []byte) (kv.Item, bool, Token) {
	if c == nil {
		return kv.Item{}, false, Token{}
	}
	s := c.stripe(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	sl, ok := s.look(key)
	if !ok || sl.changing || sl.length > 0 {
		return kv.Item{}, false, Token{s.gen}
	}
	return sl.item, true, Token{s.gen}
}

// Long returns how long the data of a key is that is too long to be kept, and all else of its item.
func (c *Cache) Long(key []byte) (_ kv.Item, length int64, ok bool) {
	if c == nil {
		return kv.Item{}, 0, false
	}
	s := c.stripe(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	sl, ok := s.look(key)
	if !ok || sl.changing || sl.length == 0 {
		return kv.Item{}, 0, false
	}
	return sl.item, int64(sl.length), true
}

// look finds a key's slot. s.mu is held.
func (s *stripe) look(key []byte) (*slot, bool) {
	name := unsafe.String(unsafe.SliceData(key), len(key)) // not kept by either
	// To move an entry to the front of the list touches five others, which costs more than to find
	// it. One hit in promoteEvery is enough to tell what is in use from what is not.
	if s.hits++; s.hits%promoteEvery == 0 {
		return s.lru.Get(name)
	}
	return s.lru.Peek(name)
}

// Fill keeps an item that was read from the store after the Get that gave tok. Of data that is long only the length is
// kept.
func (c *Cache) Fill(key []byte, it kv.Item, tok Token) {
	long := 0
	if weight(&it) > maxValue {
		long, it.Value.Data = len(it.Value.Data), nil
	}
	c.fill(key, it, long, tok)
}

// FillLong keeps how long the data of an item is that was left out, all or in part, where it is too long to be kept.
func (c *Cache) FillLong(key []byte, it kv.Item, length int64, tok Token) {
	if it.Value.Data = nil; length > maxValue {
		c.fill(key, it, int(length), tok)
	}
}

func (c *Cache) fill(key []byte, it kv.Item, long int, tok Token) {
	if c == nil {
		return
	}
	s := c.stripe(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if (s.gen != tok.gen || s.busy > 0) && !ignoreChanges {
		return
	}
	s.keep(key, it, long)
}

// keep keeps an item, or all of it but its data, which has so many bytes. s.mu is held.
func (s *stripe) keep(key []byte, it kv.Item, long int) {
	if sl, ok := s.look(key); ok {
		s.bytes += weight(&it) - weight(&sl.item)
		sl.item, sl.length, sl.changing = it, long, false
	} else {
		s.lru.Add(string(key), &slot{item: it, length: long})
		s.bytes += weight(&it)
	}
	for s.bytes > maxBytes/stripes {
		s.lru.RemoveOldest()
	}
}

// Begin forgets a key that is about to change in the store. End must follow.
func (c *Cache) Begin(_ kv.PartitionID, key []byte) {
	if c == nil {
		return
	}
	s := c.stripe(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gen++
	s.busy++
	if sl, ok := s.look(key); ok {
		sl.changing = true
	}
}

// End says that the change which Begin announced can be read from the store. Where this node
// will be asked for the key, now is what it holds, whose data is kept and must not change; else nil.
func (c *Cache) End(_ kv.PartitionID, key []byte, now *kv.Item) {
	if c == nil {
		return
	}
	s := c.stripe(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gen++ // whoever began to read between Begin and End may still hold the old value
	s.busy--
	if now != nil && weight(now) <= maxValue {
		s.keep(key, *now, 0)
	} else {
		s.lru.Remove(unsafe.String(unsafe.SliceData(key), len(key)))
	}
}

// Has reports whether the store holds a key that has no deadline, as far as the cache knows:
// false says nothing. True is sure only on the goroutine that changes keys.
func (c *Cache) Has(_ kv.PartitionID, key []byte) bool {
	if c == nil {
		return false
	}
	s := c.stripe(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	sl, ok := s.lru.Peek(unsafe.String(unsafe.SliceData(key), len(key))) // not kept by Peek
	return ok && !sl.changing && sl.item.Deadline == 0
}

// Clear forgets everything, after a change of unknown keys.
func (c *Cache) Clear() {
	if c == nil {
		return
	}
	for i := range c.stripes {
		s := &c.stripes[i]
		s.mu.Lock()
		s.gen++
		s.lru.Purge()
		s.mu.Unlock()
	}
}

func (c *Cache) stripe(key []byte) *stripe { return &c.stripes[xxhash.Sum64(key)%stripes] }

func weight(it *kv.Item) int { return len(it.Value.Data) + len(it.Value.ContentType) + 128 }
