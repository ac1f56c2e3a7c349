package sim

import (
	"fmt"
	"unsafe"

	"pxkv/node/kv"
	"pxkv/node/replica"
)

// request is a write or a read on its way through one life of a node.
type request struct {
	what     string
	p        kv.PartitionID
	answered bool
}

// ask notes a request and returns what to call at its answer: there is one, or none when the
// process ends first.
func (n *node) ask(what string, p kv.PartitionID) (answered func()) {
	r, life := &request{what: what, p: p}, n.life
	n.asked[r] = true
	return func() {
		if r.answered {
			n.w.fail("%s: a %s of partition %v was answered twice", n.name, what, p)
		}
		if r.answered = true; n.life == life {
			delete(n.asked, r)
		}
		n.breaks(inAnswer)
	}
}

// resources checks, after each tick of a node, that what it holds is within its bounds.
func (c *checker) resources(n *node) {
	all, most := n.db.Buffered()
	if l := &c.w.o.Store.Data; l.BufferBytes != 0 && most > l.BufferBytes ||
		l.AllBufferBytes != 0 && all > l.AllBufferBytes {
		c.w.fail("%s: the fullest write buffer has %d bytes and all have %d, the limits are %d and %d",
			n.name, most, all, l.BufferBytes, l.AllBufferBytes)
	}
	if bytes, largest := n.host.Growth(); c.w.o.Limits.JobBytes != 0 && bytes-largest >= c.w.o.Limits.JobBytes {
		c.w.fail("%s: %d bytes wait for the disk, the last of them taken in above the limit of %d", n.name, bytes,
			c.w.o.Limits.JobBytes)
	}
	for _, p := range n.host.Partitions() {
		h := n.host.Holdings(p)
		c.tail(n, p, &h)
	}
}

// tail checks that what a log has in memory is within its limits, but for what has no other place.
func (c *checker) tail(n *node, p kv.PartitionID, h *replica.Holdings) {
	l := &c.w.o.Store.Log
	if l.TailBytes == 0 || l.UnappliedBytes == 0 {
		return
	}
	if over := h.Tail - h.Unsynced - l.TailBytes - l.UnappliedBytes; over > 0 {
		c.w.fail("%s: partition %v: %d bytes of the log are in memory, %d of them on disk: %d more than may be", n.name,
			p, h.Tail, h.Tail-h.Unsynced, over)
	}
}

// leftovers says what is still held when all is done and settled, "" when nothing is.
func (c *checker) leftovers() string {
	for _, n := range c.w.living() {
		for r := range n.asked {
			return fmt.Sprintf("%s never answered a %s of partition %v, and %d requests in all", n.name, r.what, r.p,
				len(n.asked))
		}
		if k := n.host.Purges(); k != 0 {
			return fmt.Sprintf("%s still counts %d purges", n.name, k)
		}
		for _, p := range n.host.Partitions() {
			h := n.host.Holdings(p)
			if h.Writes != 0 || h.Reads != 0 || h.Rounds != 0 || h.Purging || h.Staged {
				return fmt.Sprintf("%s: partition %v still holds %+v", n.name, p, h)
			}
			if h.Log-h.Oldest > h.LogLimit+h.Volatile { // one entry stays, whatever its size
				return fmt.Sprintf("%s: partition %v has a log of %d bytes, %d of them not flushed; the limit is %d",
					n.name, p, h.Log, h.Volatile, h.LogLimit)
			}
			if most := c.w.o.Store.Log.TailBytes; most != 0 && h.Tail > most {
				return fmt.Sprintf("%s: partition %v has %d bytes of its log in memory, %d are the limit", n.name, p,
					h.Tail, most)
			}
		}
	}
	return ""
}

// pins checks that an entry which arrived in a frame does not keep it in memory, unless it is half of
// it at least: entries stay in tails for as long as nothing more is written to their group.
func (c *checker) pins(n *node, m *replica.Message, frame []byte) {
	if m.Kind != replica.RaftMessage {
		return
	}
	first := uintptr(unsafe.Pointer(unsafe.SliceData(frame)))
	for _, e := range m.Raft.Entries {
		at := uintptr(unsafe.Pointer(unsafe.SliceData(e.Data)))
		if len(e.Data) > 0 && at >= first && at < first+uintptr(cap(frame)) && 2*len(e.Data) < cap(frame) {
			c.w.fail("%s: partition %v: an entry of %d bytes keeps the frame of %d bytes in memory that brought it",
				n.name, m.Partition, len(e.Data), cap(frame))
		}
	}
}
