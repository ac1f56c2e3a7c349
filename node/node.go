package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pxkv/node/cache"
	"pxkv/node/kv"
	"pxkv/node/meta"
	"pxkv/node/replica"
	"pxkv/persist"
	"pxkv/ring"
)

// Peers carries requests to other nodes. transport/peer is one.
type Peers interface {
	// Go sends a request; done is called exactly once, with an error at the deadline if nothing
	// came before, and must not block.
	Go(to kv.NodeID, kind uint8, deadline time.Time, payload []byte, done func(payload []byte, err error))
}

// Sight is what gossip tells: who is there now. transport/gossip gives it.
type Sight interface {
	Alive(kv.NodeID) bool
}

// Options say what a Node works with. All but Logger and Metrics are required.
type Options struct {
	ID      kv.NodeID
	Name    string
	DB      *persist.DB
	Loop    *replica.Loop
	Machine *meta.Machine
	Cache   *cache.Cache // nil: none
	Peers   Peers
	Sight   Sight
	// NotSent reports whether an error of Peers.Go means that the request was certainly not
	// processed.
	NotSent       func(error) bool
	MaxValueBytes int
	Logger        *slog.Logger
	Metrics       prometheus.Registerer
}

// Node answers requests for any key of the cluster. It is safe for use by many goroutines.
type Node struct {
	o       Options
	log     *slog.Logger
	routes  routes
	metrics metrics
	full    atomic.Bool   // the disk has no room for writes
	timeout time.Duration // of requests whose context has no deadline

	stop      atomic.Bool     // no new requests
	life      context.Context // of answers to other nodes; ends with stop
	end       context.CancelFunc
	answering door
}

// New returns a Node. It starts nothing.
func New(o Options) (*Node, error) {
	var errs []error
	if o.ID == 0 || o.Name == "" {
		errs = append(errs, errors.New("id and name are required"))
	}
	if o.DB == nil || o.Loop == nil || o.Machine == nil || o.Peers == nil || o.Sight == nil || o.NotSent == nil {
		errs = append(errs, errors.New("DB, Loop, Machine, Peers, Sight and NotSent are required"))
	}
	if o.MaxValueBytes <= 0 {
		o.MaxValueBytes = kv.DefaultMaxValueBytes
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("node: %w", err)
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	n := &Node{o: o, log: o.Logger, metrics: newMetrics(o.Metrics), timeout: defaultTimeout}
	n.routes.node = n
	n.life, n.end = context.WithCancel(context.Background())
	return n, nil
}

// defaultTimeout is for requests whose context has no deadline.
const defaultTimeout = 10 * time.Second

// bound gives a context a deadline when it has none, so that every request ends.
func (n *Node) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, n.timeout)
}

// locate finds a key's partition, which takes knowing the cluster.
func (n *Node) locate(key []byte) (kv.PartitionID, error) {
	s := n.o.Machine.State()
	if s == nil {
		return 0, errNotJoined()
	}
	return ring.PartitionOfKey(key, s.Partitions), nil
}

// locateCommand finds the partition of all keys of a command.
func (n *Node) locateCommand(c *kv.Command) (kv.PartitionID, error) {
	p, err := n.locate(c.Key)
	if err == nil && c.Op == kv.OpRename {
		if to, err := n.locate(c.NewKey); err != nil || to != p {
			return 0, errSeveralPartitions()
		}
	}
	return p, err
}

func errNotJoined() *kv.Error {
	return kv.Errorf(kv.Unavailable, "this node has not joined a cluster yet")
}

func (n *Node) receipt(p kv.PartitionID, index uint64) kv.Receipt {
	return kv.Receipt{Partition: p, Index: index, Node: n.o.Name}
}
