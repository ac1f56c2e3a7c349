package replica

import (
	"bytes"

	pb "go.etcd.io/raft/v3/raftpb"

	"pxkv/node/kv"
)

// Entries outlive the frame that brought them by as long as they are in a log's tail, and that of a
// group to which little is written keeps them for hours. So none may keep alive more than about
// twice its own bytes: a frame is shared by all groups of a turn, and one of 100 bytes would keep
// the 256 KiB of its neighbours.

const (
	// entryBlock is how many entries share one allocation of what is beside their data.
	entryBlock = 32
	// dataBlock is how many bytes of small entries share one allocation; aloneBytes is from where on
	// an entry has its own.
	dataBlock  = 4 << 10
	aloneBytes = 1 << 10
	// entryCost is about what an entry takes in the log beside its data.
	entryCost = 32
)

// entryBytes is how much a message brings for the log.
func entryBytes(m *pb.Message) int {
	n := 0
	for _, e := range m.Entries {
		n += len(e.Data) + entryCost
	}
	return n
}

// wireEntry is an entry together with what its pointers point to.
type wireEntry struct {
	e           pb.Entry
	kind        pb.EntryType
	term, index uint64
}

// readEntries reads the entries that follow an index. frame is what they are part of, in bytes.
func readEntries(d *kv.Decoder, after uint64, frame int) []*pb.Entry {
	n := d.Count()
	if n > maxEntriesPerMessage {
		return nil
	}
	out := make([]*pb.Entry, n)
	var block []wireEntry
	small := 0
	for i := range out {
		if len(block) == 0 {
			block = make([]wireEntry, min(entryBlock, n-i))
		}
		e := &block[0]
		block = block[1:]
		e.kind, e.term, e.index = pb.EntryType(d.Byte()), d.Uvarint(), after+uint64(i)+1
		e.e.Type, e.e.Term, e.e.Index = &e.kind, &e.term, &e.index
		if data := d.Bytes(); len(data) > 0 {
			e.e.Data = data
			if len(data) < aloneBytes {
				small += len(data)
			}
		}
		out[i] = &e.e
	}
	if !tailAliasesFrame {
		own(out, small, frame)
	}
	return out
}

// own gives the entries memory of their own, unless the frame is not much more than one of them.
// small is how many bytes those have that share theirs.
func own(entries []*pb.Entry, small, frame int) {
	var block []byte
	for _, e := range entries {
		switch size := len(e.Data); {
		case size == 0 || 2*size >= frame:
		case size >= aloneBytes:
			e.Data = bytes.Clone(e.Data)
		default:
			if cap(block)-len(block) < size {
				block = make([]byte, 0, max(size, min(small, dataBlock)))
			}
			from := len(block)
			block = append(block, e.Data...)
			e.Data = block[from:len(block):len(block)]
			small -= size
		}
	}
}
