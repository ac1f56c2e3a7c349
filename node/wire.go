package node

import (
	"encoding/binary"
	"errors"
	"math"

	"pxkv/node/kv"
)

// The kinds of request that nodes make of each other. Never reuse a number.
const (
	reqWrite   = 1 // one encoded kv.Command -> kv.Result
	reqRead    = 2 // a key and its options -> kv.ReadResult
	reqScan    = 3 // a page of one partition -> items
	reqMeta    = 4 // a command for the meta group -> its result
	reqLeading = 5 // nothing -> the partitions that the asked node leads
	reqSteps   = 6 // reads and log entries of several partitions -> what became of each
	reqCount   = 7 // a partition and a slot -> how many keys there are
	reqWalk    = 8 // a position in one partition -> the next keys by position
)

// Every answer begins with how it ended.
const (
	answerOK    = 0
	answerError = 1 // a kv.Error follows
)

// wireVersion is the first byte of every request.
const wireVersion = 1

var errWire = errors.New("malformed request from another node")

func encodeError(e *kv.Error) []byte { return e.AppendTo([]byte{answerError}) }

// decodeAnswer returns a decoder of the answer's content, or the error it carries.
func decodeAnswer(b []byte) (kv.Decoder, *kv.Error) {
	d := kv.NewDecoder(b)
	switch d.Byte() {
	case answerOK:
		if d.Err() == nil {
			return d, nil
		}
	case answerError:
		if e := d.ReadError(); d.End() == nil {
			return d, e
		}
	}
	return d, kv.Errorf(kv.Internal, "malformed answer from another node")
}

// scanRequest asks for a page of one partition.
type scanRequest struct {
	partition        kv.PartitionID
	from, prefix     []byte
	keysOnly         bool
	stale            bool
	maxItems, maxLen int
}

func (r *scanRequest) encode() []byte {
	b := []byte{wireVersion}
	b = binary.AppendUvarint(b, uint64(r.partition))
	b = kv.AppendBytes(b, r.from)
	b = kv.AppendBytes(b, r.prefix)
	var flags byte
	if r.keysOnly {
		flags |= 1
	}
	if r.stale {
		flags |= 2
	}
	b = append(b, flags)
	b = binary.AppendUvarint(b, uint64(r.maxItems))
	return binary.AppendUvarint(b, uint64(r.maxLen))
}

func decodeScan(b []byte) (scanRequest, error) {
	d := kv.NewDecoder(b)
	if d.Byte() != wireVersion {
		return scanRequest{}, errWire
	}
	partition := d.Uvarint()
	r := scanRequest{partition: kv.PartitionID(partition), from: d.Bytes(), prefix: d.Bytes()}
	flags := d.Byte()
	r.keysOnly, r.stale = flags&1 != 0, flags&2 != 0
	r.maxItems, r.maxLen = int(min(d.Uvarint(), maxPageItems)), int(min(d.Uvarint(), maxPageBytes))
	// To the store 0 means no limit, which no other node may ask for.
	if d.End() != nil || partition > math.MaxUint32 || r.maxItems == 0 || r.maxLen == 0 {
		return scanRequest{}, errWire
	}
	return r, nil
}

// page is a piece of one partition's keys, in order.
type page struct {
	items []kv.Item
	more  bool // there are keys after the last item
}

func (p *page) encode() []byte {
	b := []byte{answerOK, 0}
	if p.more {
		b[1] = 1
	}
	b = binary.AppendUvarint(b, uint64(len(p.items)))
	for i := range p.items {
		b = p.items[i].AppendTo(b)
	}
	return b
}

func decodePage(d *kv.Decoder) (page, *kv.Error) {
	pg := page{more: d.Byte() != 0}
	n := d.Count()
	if n <= maxPageItems { // else End finds all of them left over, before they cost memory
		pg.items = make([]kv.Item, 0, n)
		for range n {
			pg.items = append(pg.items, d.ReadItem())
		}
	}
	if d.End() != nil {
		return page{}, kv.Errorf(kv.Internal, "malformed page from another node")
	}
	return pg, nil
}

// decodeResult reads the result of a write; one that nobody can read leaves its outcome unknown.
func decodeResult(d *kv.Decoder) (kv.Result, *kv.Error) {
	res := d.ReadResult()
	if d.End() != nil || !res.Outcome.Known() {
		return kv.Result{}, kv.ErrUnknown()
	}
	return res, nil
}

func encodeRead(key []byte, opt kv.ReadOptions) []byte {
	b := make([]byte, 0, 16+len(key))
	b = append(b, wireVersion, byte(opt.Consistency))
	b = binary.AppendUvarint(b, opt.MinIndex)
	return append(b, key...)
}

func decodeRead(b []byte) (key []byte, opt kv.ReadOptions, err error) {
	d := kv.NewDecoder(b)
	if d.Byte() != wireVersion {
		return nil, opt, errWire
	}
	opt.Consistency = kv.Consistency(d.Byte())
	opt.MinIndex = d.Uvarint()
	key = d.Rest()
	if d.Err() != nil || opt.Consistency > kv.Stale || kv.ValidateKey(key) != nil {
		return nil, opt, errWire
	}
	return key, opt, nil
}
