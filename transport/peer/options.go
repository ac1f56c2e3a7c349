package peer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
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
	// HandleFrame takes a raft frame. The callee owns frame.
	HandleFrame(from Remote, frame []byte)

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

	// HandleDisconnect says that the last link with node broke or that dialing it failed.
	// It is called from various goroutines and must not block.
	HandleDisconnect(node kv.NodeID)

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
	// goroutine that holds no lock; host names are resolved anew too. Required.
	Resolve func(kv.NodeID) (addr string, ok bool)
	// Admit may refuse a peer whose handshake was in order otherwise; the error's text
	// travels to the peer. It must not block. nil admits all.
	Admit func(Remote) error

	Logger  *slog.Logger          // nil discards
	Metrics prometheus.Registerer // nil registers nothing

	MaxFrame        int           // longest frame, request or response in bytes; default 32 MiB
	QueueBytes      int           // bytes per peer: of the queue, of the replies, and of its requests that are not answered, each; default 32 MiB
	MaxInFlight     int           // calls per peer that wait for an answer, each way; default 65,536
	MaxInboundConns int           // accepted connections, all purposes; default 1,024
	MaxSnapshotsIn  int           // snapshots received at once; more are refused; default 2
	MaxSnapshotsOut int           // snapshots sent at once; more wait; default 2
	DeadAfter       time.Duration // a link on which nothing arrives for so long is closed; default 3 s
	DialTimeout     time.Duration // for connecting and for the handshake, each; default 2 s
}

// Defaults of Options, and what is not configurable because nobody needs it to be.
const (
	defaultMaxFrame        = 32 << 20
	defaultQueueBytes      = 32 << 20
	defaultMaxInFlight     = 1 << 16
	defaultMaxInboundConns = 1024
	defaultMaxSnapshots    = 2
	defaultDeadAfter       = 3 * time.Second
	defaultDialTimeout     = 2 * time.Second

	defaultCallTime = 10 * time.Second       // of calls without a deadline
	minBackoff      = 50 * time.Millisecond  // after the first failed dial
	maxBackoff      = 2 * time.Second        // after many, and after a refusal
	goodLife        = time.Second            // a link that breaks earlier counts as a failed dial
	drainTime       = 500 * time.Millisecond // for answers in flight when the transport stops
)

// maxMessageLimit keeps every length of the wire well inside 32 bits.
const maxMessageLimit = 1 << 30

func (o *Options) setDefaults() {
	setDefault(&o.MaxFrame, defaultMaxFrame)
	setDefault(&o.QueueBytes, defaultQueueBytes)
	setDefault(&o.MaxInFlight, defaultMaxInFlight)
	setDefault(&o.MaxInboundConns, defaultMaxInboundConns)
	setDefault(&o.MaxSnapshotsIn, defaultMaxSnapshots)
	setDefault(&o.MaxSnapshotsOut, defaultMaxSnapshots)
	setDefault(&o.DeadAfter, defaultDeadAfter)
	setDefault(&o.DialTimeout, defaultDialTimeout)
	if o.Cluster == nil {
		o.Cluster = func() kv.ClusterID { return 0 }
	}
	if o.Admit == nil {
		o.Admit = func(Remote) error { return nil }
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
}

func setDefault[T int | time.Duration](field *T, value T) {
	if *field == 0 {
		*field = value
	}
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
	check(len(o.Identity.ClusterName) <= maxNameBytes, "the cluster name has %d bytes, at most %d are possible", len(o.Identity.ClusterName), maxNameBytes)
	check(o.Handler != nil, "no handler")
	check(o.Resolve != nil, "no way to resolve addresses")
	check(o.MaxFrame > 0 && o.MaxFrame <= maxMessageLimit, "the largest frame is %d bytes, want 1 to %d", o.MaxFrame, maxMessageLimit)
	check(o.QueueBytes > 0, "the queue has %d bytes, want more than 0", o.QueueBytes)
	check(o.MaxInFlight > 0, "%d calls in flight, want more than 0", o.MaxInFlight)
	check(o.MaxInboundConns > 0, "%d inbound connections, want more than 0", o.MaxInboundConns)
	check(o.MaxSnapshotsIn > 0 && o.MaxSnapshotsOut > 0, "%d snapshots in and %d out, want more than 0", o.MaxSnapshotsIn, o.MaxSnapshotsOut)
	check(o.DeadAfter >= 20*time.Millisecond, "links die after %v, want 20 ms or more", o.DeadAfter)
	check(o.DialTimeout > 0, "the dial timeout is %v, want more than 0", o.DialTimeout)
	return errors.Join(faults...)
}
