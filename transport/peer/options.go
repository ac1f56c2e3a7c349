package peer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pxkv/node/kv"
)

// Identity is who this process claims to be in every handshake.
type Identity struct {
	Node        kv.NodeID
	ClusterName string // 1 to 255 bytes
	Incarnation uint64 // drawn anew at every start of the process
}

// Remote is what a handshake proved about the other end of a connection.
type Remote struct {
	Node        kv.NodeID
	Cluster     kv.ClusterID // 0 when the peer was in no cluster at the time of the handshake
	Incarnation uint64
}

// Handler is what the owner of a Transport does with the bytes that arrive. The calls for
// one connection come from its reader goroutine, in the order in which the peer sent;
// they must not block.
type Handler interface {
	// HandleFrame takes a raft frame. The callee owns frame. An error says that this node cannot read
	// what that process writes: it is refused from now on.
	HandleFrame(from Remote, frame []byte) error

	// HandleRequest takes a request, which the callee owns. reply must be called exactly
	// once, now or later, from any goroutine; it never blocks. An err that is ErrNotSent or
	// ErrLost (errors.Is) arrives at the caller as the same; the text of any other arrives
	// as a RemoteError. deadline is by this process's clock; after it nobody listens.
	HandleRequest(from Remote, kind uint8, deadline time.Time, payload []byte, reply func(payload []byte, err error))

	// HandleSnapshot receives a snapshot on a goroutine of its own, where it may block. body
	// ends with io.EOF only when all of it arrived unchanged. nil says that the snapshot is
	// accepted and staged durably, and needs body to have been read to its io.EOF; the text
	// of an error travels to the sender. ctx ends when the transport stops or the sender is
	// known to be gone.
	HandleSnapshot(ctx context.Context, from Remote, header []byte, body io.Reader) error

	// HandleDisconnect says that the last link with node broke or that dialing it failed; silent, that nothing came
	// from it, so that nobody knows whether it is down.
	// It is called from various goroutines and must not block.
	HandleDisconnect(node kv.NodeID, silent bool)

	// BatchEnd follows after all messages that one read of a socket brought were handled:
	// the owner submits what it gathered with one wakeup. It comes on the reader goroutine.
	BatchEnd()
}

// Options configure a Transport.
type Options struct {
	Listen   string   // address to listen on, as "host:port"; port 0 lets the system choose
	Identity Identity // required
	Handler  Handler  // required

	// Cluster returns the current cluster id, 0 while this node is in none. nil means 0.
	Cluster func() kv.ClusterID
	// Resolve returns a peer's address as host:port. It is asked anew at each dial, from a
	// goroutine that holds no lock; host names are looked up anew too. Required.
	Resolve func(kv.NodeID) (addr string, ok bool)
	// Lookup finds the addresses of a host name; nil asks the system. It ends with its context.
	Lookup func(ctx context.Context, host string) ([]netip.Addr, error)
	// Names is how errors and the log name peers; nil: by their ids.
	Names kv.Names
	// Seen returns the address at which a peer was last heard by other means, to try when its name
	// leads nowhere. nil: there are no other means.
	Seen func(kv.NodeID) (netip.Addr, bool)
	// Repeatable reports whether requests of a kind change nothing, so that they can be made again
	// when there is no room for their answers. Answers to others that were begun are always kept.
	// nil: none is.
	Repeatable func(kind uint8) bool
	// Formats are those of what is inside frames, requests, answers and snapshots. Their order is part
	// of the protocol: never change it, append. At most 16. What is written may change while the
	// node runs: it is asked anew at each handshake. nil: there are none.
	Formats func() []kv.Format
	// Admit may refuse a peer whose handshake was in order otherwise; the error's text
	// travels to the peer. It must not block. nil admits all.
	Admit func(Remote) error

	// Budget is what requests of peers are counted in until they are answered, and answers until they
	// are written. Frames are not. nil: one of 256 MiB.
	Budget *kv.Budget

	Logger  *slog.Logger          // nil discards
	Metrics prometheus.Registerer // nil registers nothing

	MaxPayload int // longest frame, request or response in bytes; default 32 MiB
	// bytes per peer: of the queue, of the replies before more requests are refused, and of its requests that are not
	// answered, each; default 32 MiB
	QueueBytes      int
	MaxInFlight     int // calls per peer that wait for an answer, each way; default 65,536
	MaxInboundConns int // accepted connections, all purposes; default 1,024
	MaxSnapshotsIn  int // snapshots received at once; more are refused as busy; default 32
	MaxSnapshotsOut int // snapshots sent at once; more wait; default 32. Which, and when, the owner decides
	SnapshotChunk   int // bytes of a snapshot in one message; default and at most 256 KiB
	// chunks that a sender may be ahead of the receiver's handler: what one costs in memory; default 8
	SnapshotAhead int
	// a snapshot of which less than SnapshotLeast arrives in this time is given up; default 30 s
	SnapshotWindow time.Duration
	SnapshotLeast  int64         // bytes; default 1 MiB
	DeadAfter      time.Duration // a link on which nothing arrives for so long is closed; default 1.2 s
	DialTimeout    time.Duration // for a lookup, for connecting and for the handshake, each; default 2 s
	LookupTimeout  time.Duration // for the lookup of a peer that was reached before; default 500 ms
}

// Defaults of Options, and what is not configurable because nobody needs it to be.
const (
	defaultMaxPayload      = 32 << 20
	defaultQueueBytes      = 32 << 20
	defaultBudget          = 256 << 20
	defaultMaxInFlight     = 1 << 16
	defaultMaxInboundConns = 1024
	defaultMaxSnapshots    = 32
	defaultSnapshotAhead   = 8
	defaultSnapshotWindow  = 30 * time.Second
	defaultSnapshotLeast   = 1 << 20
	defaultDeadAfter       = 1200 * time.Millisecond // eight heartbeats of raft would have come
	defaultDialTimeout     = 2 * time.Second
	defaultLookupTimeout   = 500 * time.Millisecond

	defaultCallTime = 10 * time.Second       // of calls without a deadline
	minBackoff      = 50 * time.Millisecond  // after the first failed dial
	maxBackoff      = 2 * time.Second        // after many, and after a refusal
	goodLife        = time.Second            // a link that breaks earlier counts as a failed dial
	drainTime       = 500 * time.Millisecond // for answers in flight when the transport stops
)

// maxMessageLimit keeps every length of the wire well inside 32 bits.
const maxMessageLimit = 1 << 30

func (o *Options) setDefaults() {
	o.MaxPayload = cmp.Or(o.MaxPayload, defaultMaxPayload)
	o.QueueBytes = cmp.Or(o.QueueBytes, defaultQueueBytes)
	o.MaxInFlight = cmp.Or(o.MaxInFlight, defaultMaxInFlight)
	o.MaxInboundConns = cmp.Or(o.MaxInboundConns, defaultMaxInboundConns)
	o.MaxSnapshotsIn = cmp.Or(o.MaxSnapshotsIn, defaultMaxSnapshots)
	o.MaxSnapshotsOut = cmp.Or(o.MaxSnapshotsOut, defaultMaxSnapshots)
	o.SnapshotChunk = cmp.Or(o.SnapshotChunk, maxChunk)
	o.SnapshotAhead = cmp.Or(o.SnapshotAhead, defaultSnapshotAhead)
	o.SnapshotWindow = cmp.Or(o.SnapshotWindow, defaultSnapshotWindow)
	o.SnapshotLeast = cmp.Or(o.SnapshotLeast, defaultSnapshotLeast)
	o.DeadAfter = cmp.Or(o.DeadAfter, defaultDeadAfter)
	o.DialTimeout = cmp.Or(o.DialTimeout, defaultDialTimeout)
	o.LookupTimeout = cmp.Or(o.LookupTimeout, defaultLookupTimeout)
	if o.Lookup == nil {
		o.Lookup = func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		}
	}
	if o.Budget == nil {
		o.Budget = kv.NewBudget(defaultBudget)
	}
	if o.Formats == nil {
		o.Formats = func() []kv.Format { return nil }
	}
	if o.Cluster == nil {
		o.Cluster = func() kv.ClusterID { return 0 }
	}
	if o.Admit == nil {
		o.Admit = func(Remote) error { return nil }
	}
	if o.Repeatable == nil {
		o.Repeatable = func(uint8) bool { return false }
	}
	o.Logger = cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
}

// validate reports every fault of the options at once.
func (o *Options) validate() error {
	var faults []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			faults = append(faults, fmt.Errorf("peer transport: "+format, args...))
		}
	}
	check(o.Listen != "", "no listen address")
	check(o.Identity.Node != 0, "no node id")
	check(o.Identity.ClusterName != "", "no cluster name")
	check(len(o.Identity.ClusterName) <= maxNameBytes, "the cluster name has %d bytes, at most %d are possible",
		len(o.Identity.ClusterName), maxNameBytes)
	check(o.Handler != nil, "no handler")
	check(o.Resolve != nil, "no way to resolve addresses")
	formats := len(o.Formats())
	check(formats <= maxFormats, "%d formats, at most %d are possible", formats, maxFormats)
	check(o.MaxPayload > 0 && o.MaxPayload <= maxMessageLimit, "the largest payload is %d bytes, want 1 to %d",
		o.MaxPayload, maxMessageLimit)
	check(o.QueueBytes > 0, "the queue has %d bytes, want more than 0", o.QueueBytes)
	check(o.MaxInFlight > 0, "%d calls in flight, want more than 0", o.MaxInFlight)
	check(o.MaxInboundConns > 0, "%d inbound connections, want more than 0", o.MaxInboundConns)
	check(o.MaxSnapshotsIn > 0 && o.MaxSnapshotsOut > 0, "%d snapshots in and %d out, want more than 0",
		o.MaxSnapshotsIn, o.MaxSnapshotsOut)
	check(o.SnapshotChunk > 0 && o.SnapshotChunk <= maxChunk, "chunks of snapshots have %d bytes, want 1 to %d",
		o.SnapshotChunk, maxChunk)
	check(o.SnapshotAhead > 0 && o.SnapshotAhead <= maxAhead, "%d chunks of a snapshot ahead, want 1 to %d",
		o.SnapshotAhead, maxAhead)
	check(o.SnapshotWindow >= time.Millisecond && o.SnapshotLeast > 0,
		"%d bytes of a snapshot in %v, want at least 1 in 1 ms", o.SnapshotLeast, o.SnapshotWindow)
	check(o.DeadAfter >= 20*time.Millisecond, "links die after %v, want 20 ms or more", o.DeadAfter)
	check(o.DialTimeout > 0 && o.LookupTimeout > 0, "the dial timeout is %v and that of lookups %v, want more than 0",
		o.DialTimeout, o.LookupTimeout)
	return errors.Join(faults...)
}
