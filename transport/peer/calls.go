package peer

import "math"

// calls is the table of the requests of ours that wait for their end. An id is a slot's
// index with the slot's generation, so that an answer which comes too late, or twice, finds
// nothing. It is guarded by the mutex of its peer. The zero value is empty.
type calls struct {
	slots    []slot
	free     []uint32 // indices of unused slots
	inFlight int
	earliest int64 // no call has an earlier deadline; math.MaxInt64 when there is none
}

type slot struct {
	done       func([]byte, error) // nil when the slot is unused
	link       *link               // the connection it was written to; nil while queued
	deadline   int64               // on the transport's clock
	generation uint32
}

// call is what remains of a slot when its call has ended: done must be called once.
type call struct {
	done func([]byte, error)
	link *link
}

func (c *calls) add(deadline int64, done func([]byte, error)) (id uint64) {
	var index uint32
	if n := len(c.free); n > 0 {
		index = c.free[n-1]
		c.free = c.free[:n-1]
	} else {
		index = uint32(len(c.slots))
		c.slots = append(c.slots, slot{})
	}
	s := &c.slots[index]
	s.done, s.deadline = done, deadline
	if c.inFlight == 0 || deadline < c.earliest {
		c.earliest = deadline
	}
	c.inFlight++
	return uint64(s.generation)<<32 | uint64(index)
}

// get returns the slot of a call that has not ended, or nil.
func (c *calls) get(id uint64) *slot {
	index := uint32(id)
	if int64(index) >= int64(len(c.slots)) {
		return nil
	}
	s := &c.slots[index]
	if s.generation != uint32(id>>32) || s.done == nil {
		return nil
	}
	return s
}

// end removes a call. Whoever ends it calls done, after the peer's mutex is released.
func (c *calls) end(id uint64) (call, bool) {
	s := c.get(id)
	if s == nil {
		return call{}, false
	}
	ended := call{s.done, s.link}
	s.done, s.link = nil, nil
	s.generation++
	c.free = append(c.free, uint32(id))
	c.inFlight--
	if ended.link != nil {
		ended.link.sentCalls--
	}
	return ended, true
}

// endAll ends all calls that match and returns them.
func (c *calls) endAll(match func(*slot) bool) []call {
	var ended []call
	for i := range c.slots {
		s := &c.slots[i]
		if s.done != nil && match(s) {
			e, _ := c.end(uint64(s.generation)<<32 | uint64(i))
			ended = append(ended, e)
		}
	}
	return ended
}

// expire ends the calls whose deadline is not after now and brings earliest up to date.
func (c *calls) expire(now int64) []call {
	if c.inFlight == 0 || c.earliest > now {
		return nil
	}
	c.earliest = math.MaxInt64
	return c.endAll(func(s *slot) bool {
		if s.deadline <= now {
			return true
		}
		c.earliest = min(c.earliest, s.deadline)
		return false
	})
}
