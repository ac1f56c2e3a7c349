package node

import (
	"context"
	"encoding/binary"
	"math"
	"runtime"
	"slices"
	"time"

	"pxkv/node/kv"
	"pxkv/node/local"
	"pxkv/node/rpc"
	"pxkv/persist/data"
)

// pageMethod asks the leader of a partition for a page of its keys.
var pageMethod = rpc.Method[*Node, scanRequest, page]{
	Kind: reqScan, Repeatable: true,
	Encode: func(r scanRequest, room int) []byte {
		r.noLonger = room > 0
		return r.encode()
	},
	Decode: func(_ *Node, _ kv.NodeID, d kv.Decoder) (scanRequest, error) { return decodeScan(d) },
	Here:   (*Node).pageHere, Answer: (*Node).answerPage,
	EncodeAnswer: func(pg page) []byte { return pg.encode() },
	DecodeAnswer: func(_ scanRequest, d kv.Decoder) (page, bool) { return decodePage(d) },
}

// No page is larger than this, whatever Limits say.
const (
	maxPageItems = 256
	maxPageBytes = 64 << 10 // of keys and values; a page has at least one item
)

// scanRequest asks for a page of one partition.
type scanRequest struct {
	partition        kv.PartitionID
	from, prefix, to []byte
	filter           kv.Filter
	keysOnly         bool
	stale            bool
	noLonger         bool // a page that is longer than maxLen, as one of a long value, has no room
	maxItems, maxLen int
}

func (r *scanRequest) encode() []byte {
	b := binary.AppendUvarint(rpc.NewRequest(0), uint64(r.partition))
	b = kv.AppendBytes(b, r.from)
	b = kv.AppendBytes(b, r.prefix)
	var flags byte
	if r.keysOnly {
		flags |= 1
	}
	if r.stale {
		flags |= 2
	}
	if r.noLonger { // which versions before do not look at
		flags |= 4
	}
	if r.narrowed() { // which versions before refuse
		flags |= 8
	}
	b = append(b, flags)
	b = binary.AppendUvarint(b, uint64(r.maxItems))
	b = binary.AppendUvarint(b, uint64(r.maxLen))
	if !r.narrowed() {
		return b
	}
	b = kv.AppendBytes(b, r.to)
	for _, text := range []string{r.filter.Glob, r.filter.Regex, r.filter.Type, r.filter.Where} {
		b = kv.AppendBytes(b, []byte(text))
	}
	return b
}

// narrowed reports whether it asks for less than what begins with the prefix.
func (r *scanRequest) narrowed() bool { return len(r.to) > 0 || r.filter != kv.Filter{} }

func decodeScan(d kv.Decoder) (scanRequest, error) {
	partition := d.Uvarint()
	r := scanRequest{partition: kv.PartitionID(partition), from: d.Bytes(), prefix: d.Bytes()}
	flags := d.Byte()
	r.keysOnly, r.stale, r.noLonger = flags&1 != 0, flags&2 != 0, flags&4 != 0
	r.maxItems, r.maxLen = int(min(d.Uvarint(), maxPageItems)), int(min(d.Uvarint(), maxPageBytes))
	if flags&8 != 0 {
		r.to = d.Bytes()
		for _, text := range []*string{&r.filter.Glob, &r.filter.Regex, &r.filter.Type, &r.filter.Where} {
			*text = string(d.Bytes())
		}
	}
	// To the store 0 means no limit, which no other node may ask for.
	if d.End() != nil || partition > math.MaxUint32 || r.maxItems == 0 || r.maxLen == 0 {
		return scanRequest{}, rpc.ErrMalformed
	}
	return r, nil
}

// page is a piece of one partition's keys, in order.
type page struct {
	items []kv.Item
	more  bool   // there are keys after the last item, or from next on
	next  []byte // where to go on, when that is not right after the last item
	held  int    // bytes of it on the account of who asked
}

// from is where the page after it begins.
func (p *page) from() []byte {
	if p.next != nil {
		return p.next
	}
	return after(p.items[len(p.items)-1].Key)
}

func (p *page) encode() []byte {
	var flags byte
	if p.more {
		flags |= 1
	}
	if p.next != nil {
		flags |= 2
	}
	b := append(rpc.NewAnswer(0), flags)
	if p.next != nil {
		b = kv.AppendBytes(b, p.next)
	}
	b = binary.AppendUvarint(b, uint64(len(p.items)))
	for i := range p.items {
		b = p.items[i].AppendTo(b)
	}
	return b
}

// decodePage reads a page of another node, of which the whole answer is counted.
func decodePage(d kv.Decoder) (page, bool) {
	pg := page{held: 1 + len(d.Rest())}
	flags := d.Byte()
	if pg.more = flags&1 != 0; flags&2 != 0 {
		pg.next = d.Bytes()
	}
	n := d.Count()
	if n <= maxPageItems { // else End finds all of them left over, before they cost memory
		pg.items = make([]kv.Item, 0, n)
		for range n {
			pg.items = append(pg.items, d.ReadItem())
		}
	}
	return pg, d.End() == nil && (!pg.more || pg.next != nil || len(pg.items) > 0)
}

// pageHere reads a page as the leader.
func (n *Node) pageHere(ctx context.Context, r scanRequest) (pg page, e *kv.Error) {
	e = n.scanHere(ctx, &r, pg.take(ctx))
	return pg, e
}

// take returns what takes a page that was read here, and counts it on the account of ctx.
func (p *page) take(ctx context.Context) func(*page) *kv.Error {
	return func(read *page) *kv.Error {
		if read.held = read.bytes(); !kv.AccountOf(ctx).Take(read.held) {
			return kv.ErrOverloaded()
		}
		*p = *read
		return nil
	}
}

// answerPage reads a page for another node: many keys, so it gets a goroutine. It is encoded in its place for scans,
// so that there are not more of them in memory than places.
func (n *Node) answerPage(r scanRequest, reply rpc.Reply[page]) {
	n.server.Go(reply.Deadline, func(ctx context.Context) {
		e := n.scanHere(ctx, &r, func(pg *page) *kv.Error {
			if r.noLonger && pg.bytes() > r.maxLen+r.maxItems*pageItemBytes {
				return kv.ErrOverloaded()
			}
			reply.Send(*pg, nil)
			return nil
		})
		switch {
		case e == nil:
		case listSkipsLeaderless && e.Kind == kv.NotLeader:
			reply.Send(page{}, nil)
		default:
			reply.Fail(e)
		}
	}, reply.Fail)
}

// bytes is what the page takes while it is held.
func (p *page) bytes() int {
	size := 0
	for i := range p.items {
		size += itemBytes(&p.items[i]) + pageItemBytes
	}
	return size
}

// scanHere reads a page as the leader, and gives it to take.
func (n *Node) scanHere(ctx context.Context, r *scanRequest, take func(*page) *kv.Error) *kv.Error {
	v, e := n.view(ctx, r.partition)
	if e != nil {
		return e
	}
	due, e := n.scanTaken(ctx, v, r, false, take)
	if !due {
		return e
	}
	if v, e = n.viewLater(ctx, v); e != nil {
		return e
	}
	_, e = n.scanTaken(ctx, v, r, true, take)
	return e
}

// scanTaken reads a page and gives it to take, in a place for scans; with a filter, which works for every key that
// it looks at, in one of the fewer places for filters. A page that has an item which is due is given only where dueToo
// says so.
func (n *Node) scanTaken(
	ctx context.Context, v local.View, r *scanRequest, dueToo bool, take func(*page) *kv.Error,
) (due bool, e *kv.Error) {
	places := n.scans
	if r.filter != (kv.Filter{}) {
		places = n.filtering
	}
	if !filtersUnbounded {
		if !places.beginBefore(ctx) {
			return false, errLookedThroughTooLate(r.partition)
		}
		defer places.end()
	}
	if r.filter != (kv.Filter{}) {
		defer n.rest(ctx, time.Now(), n.proposals.Load())
	}
	pg, due, e := n.scanLocal(ctx, v, r)
	if e == nil && (dueToo || !due) {
		e = take(&pg)
	}
	return due, e
}

// While there are writes, a place for filters is kept empty for so many times as long as its page took, within a bound.
const (
	restShare   = 3
	longestRest = 300 * time.Millisecond
)

// rest keeps a place for filters empty for a while, when there were writes while its page was made: so lists take a
// small part of the processors from them, where writes and lists want more than there is.
func (n *Node) rest(ctx context.Context, since time.Time, proposals int64) {
	if n.proposals.Load() == proposals {
		return
	}
	timer := time.NewTimer(min(restShare*time.Since(since), longestRest))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// scanLocal reads a page of what has not expired. It reports whether an item is due, as readLocal
// does. A page without items is the last, unless it has a filter: then it ends when enough was looked at.
func (n *Node) scanLocal(ctx context.Context, v local.View, r *scanRequest) (pg page, due bool, e *kv.Error) {
	q, e := n.query(ctx, r)
	if e != nil {
		return page{}, false, e
	}
	for {
		items, next, err := n.o.DB.Scan(r.partition, q)
		if err != nil {
			return page{}, false, kv.Errorf(kv.Internal, "partition %s: scan: %v", r.partition, err)
		}
		if _, ok := v.Seen(); !ok {
			return page{}, false, errNotHere(r.partition)
		}
		if q.Keep != nil && ctx.Err() != nil { // then Keep lets everything through
			return page{}, false, errLookedThroughTooLate(r.partition)
		}
		pg = page{more: next != nil && !(emptyPageIsLast && len(items) == 0)}
		if q.From = next; q.Keep != nil {
			pg.next = next
		}
		items = slices.DeleteFunc(items, func(it kv.Item) bool {
			shown, late := v.Life(it.Deadline, n.now, r.stale)
			due = due || late
			return !shown
		})
		if pg.items = items; len(items) > 0 || !pg.more || q.Keep != nil {
			return pg, due, nil
		}
		if ctx.Err() != nil {
			return page{}, false, kv.Errorf(kv.Unavailable, "partition %s: too many expired keys to list in time",
				r.partition)
		}
	}
}

func errLookedThroughTooLate(p kv.PartitionID) *kv.Error {
	return kv.Errorf(kv.Unavailable, "partition %s: its keys cannot be looked through in time", p)
}

// looksAtOnce is after how many keys a filter lets others have the processor, writes above all: without that it keeps
// it for 10 ms.
const looksAtOnce = 16

// query is what the store is asked for a page. When ctx ends, a filter looks at nothing more: the page is soon full,
// and not to be used.
func (n *Node) query(ctx context.Context, r *scanRequest) (data.Query, *kv.Error) {
	q := data.Query{
		From: r.from, To: r.to, Prefix: r.prefix, KeysOnly: r.keysOnly, MaxItems: r.maxItems, MaxBytes: r.maxLen,
	}
	f, e := n.filters.Compile(r.filter)
	if e != nil || f == nil {
		return q, e
	}
	now, looks := n.now().WallMS, 0
	q.KeepsByValue = f.NeedsValue()
	q.MaxLooked, q.Keep = n.o.Limits.PageLooked, func(it *kv.Item) bool {
		if looks++; looks%looksAtOnce == 0 || len(it.Value.Data) > looksAtOnce<<10 {
			runtime.Gosched()
		}
		return ctx.Err() != nil || f.Match(it, now)
	}
	return q, nil
}

// after is the smallest key above a key.
func after(key []byte) []byte { return append(append(make([]byte, 0, len(key)+1), key...), 0) }
