package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pxkv/node/cache"
	"pxkv/node/entry"
	"pxkv/node/kv"
	"pxkv/node/loop"
	"pxkv/node/match"
	"pxkv/node/member"
	"pxkv/node/meta"
	"pxkv/node/pack"
	"pxkv/node/replica"
	"pxkv/node/rpc"
	"pxkv/persist"
)

// Options say what a Node works with. All but Logger and Metrics are required.
type Options struct {
	ID      kv.NodeID
	Name    string
	DB      *persist.DB
	Loop    *loop.Loop
	Machine *meta.Machine
	Cache   *cache.Cache // nil: none
	Peers   rpc.Peers
	Sight   rpc.Sight
	// NotSent reports whether an error of Peers.Go means that the request was certainly not
	// processed.
	NotSent func(error) bool
	// Boot is the clock that leases are measured on, the one that Loop reads too. nil: the system's, which
	// Clock reads.
	Boot func() time.Duration
	// Unreachable reports whether such an error means that the other node cannot be reached, so that
	// another way is worth trying: it is not busy, and the request is not at fault. nil: NotSent.
	Unreachable func(error) bool
	// Silent reports whether such an error means that nothing comes from the other node, though nobody says that it is
	// down. nil: none does.
	Silent func(error) bool
	// NoRoom reports whether such an error means that the other node had an answer and no room for it.
	// nil: none does.
	NoRoom func(error) bool
	// Names is how errors and the log name other nodes. nil: by their ids.
	Names         kv.Names
	MaxValueBytes int   // longest value that is written; default kv.DefaultMaxValueBytes
	MaxBytes      int64 // of the store, where it may have fewer than its disk has; 0: as many
	// Packer packs the values of puts before they are proposed. nil: they stay as they are.
	Packer *pack.Packer
	Limits Limits // of requests and answers
	// Silence is how long nobody may have heard a member before a newcomer of its name replaces it;
	// 0: member.DefaultSilence.
	Silence time.Duration
	// ReplaceAfter is for how long nobody may have heard a member before its replicas move elsewhere by themselves. 0:
	// never.
	ReplaceAfter time.Duration
	// SteerInterval is how often the node looks after the members while it leads the meta group. 0: 1 s.
	SteerInterval time.Duration
	// Zone says what can fail together with this node: replicas of a partition are in different zones. Empty: unknown.
	Zone string
	// AskInterval is how often the node looks whom it can ask, and how long it waits for each. 0: 1 s.
	AskInterval time.Duration
	// Warnings returns what an operator should know of this node, to be shown with the cluster. It is
	// called by any goroutine. nil: nothing.
	Warnings func() []string
	// Waits says what the next step of a move of a group that is led here waits for. It is called by the goroutine
	// of the turns. nil: nobody says it.
	Waits   func(kv.PartitionID) string
	Logger  *slog.Logger
	Metrics prometheus.Registerer
}

// withDefaults fills in what is optional, and names everything that is missing or does not fit together.
func (o Options) withDefaults() (Options, error) {
	var errs []error
	if o.ID == 0 || o.Name == "" {
		errs = append(errs, errors.New("id and name are required"))
	}
	if o.DB == nil || o.Loop == nil || o.Machine == nil || o.Peers == nil || o.Sight == nil || o.NotSent == nil {
		errs = append(errs, errors.New("DB, Loop, Machine, Peers, Sight and NotSent are required"))
	}
	if o.Boot == nil {
		o.Boot = bootTime
	}
	if o.Unreachable == nil {
		o.Unreachable = o.NotSent
	}
	if o.Warnings == nil {
		o.Warnings = func() []string { return nil }
	}
	if o.Waits == nil {
		o.Waits = func(kv.PartitionID) string { return "" }
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Silence <= 0 {
		o.Silence = member.DefaultSilence
	}
	if o.AskInterval <= 0 {
		o.AskInterval = defaultAskInterval
	}
	if o.SteerInterval <= 0 {
		o.SteerInterval = defaultSteerInterval
	}
	if o.MaxValueBytes <= 0 {
		o.MaxValueBytes = kv.DefaultMaxValueBytes
	}
	limits, err := o.Limits.withDefaults()
	if err == nil && o.MaxValueBytes > limits.ValueBytes {
		err = fmt.Errorf("MaxValueBytes is %d, above the limit ValueBytes, which is %d", o.MaxValueBytes,
			limits.ValueBytes)
	}
	o.Limits = limits
	return o, errors.Join(append(errs, err)...)
}

const (
	defaultAskInterval   = time.Second
	defaultSteerInterval = time.Second
	defaultTimeout       = 10 * time.Second // of requests whose context has no deadline
)

// Node answers requests for any key of the cluster. It is safe for use by many goroutines.
type Node struct {
	o         Options
	log       *slog.Logger
	client    *rpc.Client        // asks the leaders of partitions, and other nodes
	server    *rpc.Server[*Node] // answers them
	replacing replacing
	departed  departed
	steering  steering
	ordering  chan struct{} // holds one while an order is carried out
	metrics   metrics
	space     space
	// membership answers those that want to form a cluster with this node; nil before there is one.
	membership atomic.Pointer[Membership]
	timeout    time.Duration  // of requests whose context has no deadline
	unpack     *pack.Unpacker // looks at what other nodes have packed

	proposed rpc.Futures[entry.Reply] // of what is proposed here
	rounds   rpc.Futures[*kv.Error]   // in which a majority confirms what is here

	loads     loads         // of single values, which nobody waits for behind pages
	scans     loads         // of pages
	filtering loads         // of pages with a filter
	filters   *match.Cache  // of their lists
	proposals atomic.Int64  // how often clients' writes were proposed here
	reads     atomic.Uint64 // of keys, answered here
}

// Reads grows with the reads of keys that are answered from what this node holds.
func (n *Node) Reads() uint64 { return n.reads.Load() }

// New returns a Node. It starts nothing.
func New(o Options) (*Node, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("node: %w", err)
	}
	n := &Node{
		o: o, log: o.Logger, timeout: defaultTimeout, ordering: make(chan struct{}, 1),
		unpack: pack.NewUnpacker(min(runtime.GOMAXPROCS(0), mostChecked)),
		loads:  make(loads, o.Limits.Loads), scans: make(loads, max(o.Limits.Loads/2, 1)),
		filtering: make(loads, o.Limits.Filtering), filters: match.NewCache(),
	}
	n.metrics = newMetrics(o.Metrics, func() float64 { return float64(len(n.Cluster().Leaderless)) },
		n.steering.stalledNow)
	if o.Metrics != nil {
		o.Metrics.MustRegister(packingMetrics(o.Packer)...)
	}
	n.client = rpc.NewClient(rpc.Options{
		Self: o.ID, Name: o.Name, Loop: o.Loop, Machine: o.Machine, Peers: o.Peers, Sight: o.Sight,
		NotSent: o.NotSent, Unreachable: o.Unreachable, Silent: o.Silent, NoRoom: o.NoRoom, Names: o.Names,
		AskInterval: o.AskInterval, ValueBytes: o.Limits.ValueBytes, Counters: n.metrics.Counters,
	})
	n.server = rpc.NewServer(n, n.client, kinds)
	return n, nil
}

// now reads both clocks.
func (n *Node) now() replica.Now {
	return replica.Now{Boot: n.o.Boot(), WallMS: time.Now().UnixMilli()}
}

// bound gives a context a deadline when it has none, so that every request ends.
func (n *Node) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, n.timeout)
}
