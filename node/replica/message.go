package replica

import (
	"encoding/binary"
	"errors"
	"fmt"

	pb "go.etcd.io/raft/v3/raftpb"

	"pxkv/node/kv"
)

// MessageKind tells what a Message between two replicas is.
type MessageKind byte

const (
	// RaftMessage carries a message of the Raft library.
	RaftMessage MessageKind = 1
	// Probe asks the leader of a partition whether the sending replica is still in its
	// configuration. A replica that the placement no longer names sends it.
	Probe MessageKind = 2
	// Gone answers a Probe: the configuration, confirmed by a lease, does not contain you.
	Gone MessageKind = 3
	// Recall asks a node what it remembers of the sender, and Recalled is the answer. They go from
	// node to node: partition and replicas are 0.
	Recall   MessageKind = 4
	Recalled MessageKind = 5
	// Compare tells the running hash that the sender had at an index, and asks for the receiver's;
	// Compared is the answer. Only replicas in doubt ask: see divergence.go. A node that does not know
	// these kinds refuses the frame, and so is silent in the eyes of who asks.
	Compare  MessageKind = 6
	Compared MessageKind = 7
	// Void tells the leader that the sender's state is void, up to an index: see void.go.
	Void MessageKind = 8
	// Liveness says that the sending node is there. It goes to nodes whose groups rest, and which so know it: see
	// rest.go.
	Liveness MessageKind = 9
	// Awake tells the leader that the sending replica rests no more, or the followers that it leads no more.
	Awake MessageKind = 10
)

// Message goes from one replica to another of the same partition. It names both by replica
// id, so that a message for a former replica never reaches its successor.
type Message struct {
	Kind      MessageKind
	Partition kv.PartitionID
	From, To  kv.ReplicaID
	FromNode  kv.NodeID   // filled by the receiver from the proven identity of its peer
	Raft      *pb.Message // for RaftMessage
	// Committed goes with a heartbeat: the leader's commit index. The heartbeat's own is cut to
	// what the follower has, and so cannot tell it how far it is behind.
	Committed uint64
	// TimeMS goes with a heartbeat: the leader's clock for the group, Unix milliseconds.
	TimeMS int64
	// Rests goes with a heartbeat, whose sender asks for rest, and with its answer, whose sender rests: see rest.go.
	Rests bool
	// Position is how far the sender's disk was when the frame left.
	Position uint64
	Memory   *Memory // for Recall, of which it has Nonce and Others only, and Recalled
	// Index, Hash: for Compare and Compared; Void has the Index alone.
	Index, Hash uint64
}

// Frame is all that one turn has to say to one peer.
type Frame struct {
	To   kv.NodeID
	Data []byte
	told uint64 // at most this position; see Host.tellable
}

// frameVersion is the first byte of every frame. Peers tell each other in the handshake what they
// write, and do not talk when one of them could not read it; whoever writes another version all the
// same is refused from then on (ErrFrameVersion).
const frameVersion = 4

// Formats are those in which replicas speak to each other.
var (
	FrameFormat          = kv.Format{Name: "raft frames", Writes: frameVersion}
	SnapshotHeaderFormat = kv.Format{Name: "snapshot headers", Writes: headerVersion}
)

// frameHeader is its version and the position of the sender's disk (8 bytes, big endian): see
// recall.go.
const frameHeader = 9

// maxEntriesPerMessage bounds what decoding a hostile frame can allocate. A message of
// Limits.MessageBytes holds fewer.
const maxEntriesPerMessage = 1 << 18

// ErrFrame is the error of a frame that no pxkv node of this version wrote.
var ErrFrame = errors.New("malformed raft frame")

// ErrFrameVersion is the error of a frame of another version. All that its sender says is like it.
var ErrFrameVersion = errors.New("raft frame of another version")

// appendMessage appends m to a frame that already has its version byte.
func appendMessage(b []byte, m *Message) []byte {
	b = append(b, byte(m.Kind))
	b = binary.BigEndian.AppendUint32(b, uint32(m.Partition))
	b = binary.AppendUvarint(b, uint64(m.From))
	b = binary.AppendUvarint(b, uint64(m.To))
	if m.Kind == RaftMessage {
		b = appendRaft(b, m.Raft, m.Rests)
		if m.Raft.GetType() == pb.MsgHeartbeat {
			b = binary.AppendUvarint(b, m.Committed)
			b = binary.AppendVarint(b, m.TimeMS)
		}
	}
	switch m.Kind {
	case Recall, Recalled:
		b = appendMemory(b, m.Memory)
	case Compare, Compared, Void:
		b = binary.AppendUvarint(b, m.Index)
		b = binary.AppendUvarint(b, m.Hash)
	}
	return b
}

// DecodeFrame appends the messages of a frame that came from a node to out. Their byte slices may
// alias the frame; entries, which are kept, only where they are most of it.
func DecodeFrame(out []Message, from kv.NodeID, frame []byte) ([]Message, error) {
	d := kv.NewDecoder(frame)
	if v := d.Byte(); v != frameVersion {
		if d.Err() != nil {
			return nil, ErrFrame
		}
		return nil, fmt.Errorf("%w: it is of version %d, this node reads version %d", ErrFrameVersion, v, frameVersion)
	}
	position := uint64(0)
	for range 8 {
		position = position<<8 | uint64(d.Byte())
	}
	if d.Err() != nil {
		return nil, ErrFrame
	}
	for len(d.Rest()) > 0 {
		m := Message{FromNode: from, Position: position, Kind: MessageKind(d.Byte())}
		m.Partition = kv.PartitionID(
			uint32(d.Byte())<<24 | uint32(d.Byte())<<16 | uint32(d.Byte())<<8 | uint32(d.Byte()))
		m.From = kv.ReplicaID(d.Uvarint())
		m.To = kv.ReplicaID(d.Uvarint())
		switch m.Kind {
		case RaftMessage:
			m.Raft, m.Rests = readRaft(&d, m.From, m.To, cap(frame))
			if m.Raft != nil && m.Raft.GetType() == pb.MsgHeartbeat {
				m.Committed = d.Uvarint()
				m.TimeMS = d.Varint()
			}
		case Recall, Recalled:
			m.Memory = readMemory(&d)
		case Compare, Compared, Void:
			m.Index, m.Hash = d.Uvarint(), d.Uvarint()
		case Probe, Gone, Liveness, Awake:
		default:
			return nil, fmt.Errorf("%w: message kind %d", ErrFrame, m.Kind)
		}
		if d.Err() != nil || m.Kind == RaftMessage && m.Raft == nil ||
			(m.Kind == Recall || m.Kind == Recalled) && m.Memory == nil {
			return nil, ErrFrame
		}
		out = append(out, m)
	}
	return out, nil
}

const (
	raftHasReject  = 1 << 0
	raftHasContext = 1 << 1
	raftHasLogTerm = 1 << 2 // log term, index and commit; heartbeats without them are short
	raftHasHint    = 1 << 3
	raftRests      = 1 << 4 // who knows of no rest reads over it
)

// appendRaft encodes a library message compactly. Its replica ids are in the Message, and
// the entries of a MsgApp follow its index, so neither is written again. Snapshots never
// travel in frames.
func appendRaft(b []byte, m *pb.Message, rests bool) []byte {
	var flags byte
	if rests {
		flags |= raftRests
	}
	if m.GetReject() {
		flags |= raftHasReject
	}
	if len(m.GetContext()) > 0 {
		flags |= raftHasContext
	}
	if m.GetLogTerm() != 0 || m.GetIndex() != 0 {
		flags |= raftHasLogTerm
	}
	if m.GetRejectHint() != 0 {
		flags |= raftHasHint
	}
	b = append(b, byte(m.GetType()), flags)
	b = binary.AppendUvarint(b, m.GetTerm())
	b = binary.AppendUvarint(b, m.GetCommit())
	if flags&raftHasLogTerm != 0 {
		b = binary.AppendUvarint(b, m.GetLogTerm())
		b = binary.AppendUvarint(b, m.GetIndex())
	}
	if flags&raftHasHint != 0 {
		b = binary.AppendUvarint(b, m.GetRejectHint())
	}
	if flags&raftHasContext != 0 {
		b = kv.AppendBytes(b, m.GetContext())
	}
	if m.GetType() == pb.MsgApp {
		b = binary.AppendUvarint(b, uint64(len(m.Entries)))
		for _, e := range m.Entries {
			b = append(b, byte(e.GetType()))
			b = binary.AppendUvarint(b, e.GetTerm())
			b = kv.AppendBytes(b, e.GetData())
		}
	}
	return b
}

// wireMessage is a library message together with what its pointers point to: one allocation
// instead of ten.
type wireMessage struct {
	m                      pb.Message
	kind                   pb.MessageType
	from, to, term, commit uint64
	logTerm, index, hint   uint64
	reject                 bool
}

// readRaft is the inverse of appendRaft. It returns nil for a type that never travels between
// nodes. frame is the size of the whole frame, in bytes.
func readRaft(d *kv.Decoder, from, to kv.ReplicaID, frame int) (m *pb.Message, rests bool) {
	w := &wireMessage{kind: pb.MessageType(d.Byte()), from: uint64(from), to: uint64(to)}
	if !travels(w.kind) {
		return nil, false
	}
	m = &w.m
	m.Type, m.From, m.To = &w.kind, &w.from, &w.to
	flags := d.Byte()
	w.term, w.commit = d.Uvarint(), d.Uvarint()
	m.Term, m.Commit = &w.term, &w.commit
	if flags&raftHasReject != 0 {
		w.reject = true
		m.Reject = &w.reject
	}
	if flags&raftHasLogTerm != 0 {
		w.logTerm, w.index = d.Uvarint(), d.Uvarint()
		m.LogTerm, m.Index = &w.logTerm, &w.index
	}
	if flags&raftHasHint != 0 {
		w.hint = d.Uvarint()
		m.RejectHint = &w.hint
	}
	if flags&raftHasContext != 0 {
		m.Context = d.Bytes()
	}
	if w.kind != pb.MsgApp {
		return m, flags&raftRests != 0
	}
	if m.Entries = readEntries(d, w.index, frame); m.Entries == nil {
		return nil, false
	}
	return m, false
}

// travels lists the library's messages that go from node to node in frames. Everything
// else is local, is forwarded by other means, or (MsgSnap) has a stream of its own.
func travels(t pb.MessageType) bool {
	switch t {
	case pb.MsgApp, pb.MsgAppResp, pb.MsgVote, pb.MsgVoteResp, pb.MsgPreVote, pb.MsgPreVoteResp,
		pb.MsgHeartbeat, pb.MsgHeartbeatResp, pb.MsgTimeoutNow:
		return true
	}
	return false
}
