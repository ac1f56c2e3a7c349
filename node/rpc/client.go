package rpc

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pxkv/node/kv"
	"pxkv/node/loop"
	"pxkv/node/meta"
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

// Counters are the figures of asking and answering.
type Counters struct {
	Local, Forwarded prometheus.Counter // attempts of Methods that are OneKey: at the leader here, or elsewhere
	Retries          prometheus.Counter
	Relayed          prometheus.Counter // requests that a third node passed on
	Malformed        prometheus.Counter // requests of other nodes
}

// Options say what a Client works with. All are required but NoRoom and Names.
type Options struct {
	Self    kv.NodeID
	Name    string // of this node
	Loop    *loop.Loop
	Machine *meta.Machine
	Peers   Peers
	Sight   Sight
	// NotSent reports whether an error of Peers.Go means that the request was certainly not processed.
	NotSent func(error) bool
	// Unreachable reports whether such an error means that the other node cannot be reached, so that another way
	// is worth trying: it is not busy, and the request is not at fault.
	Unreachable func(error) bool
	// Silent reports whether such an error means that nothing comes from the other node, though nobody says that it is
	// down: this node may be the one that is cut off. nil: none does.
	Silent func(error) bool
	// NoRoom reports whether such an error means that the other node had an answer and no room for it. nil: none does.
	NoRoom func(error) bool
	// Names is how errors name other nodes. nil: by their ids.
	Names kv.Names
	// AskInterval is how often Watch looks whom it can ask, and how long it waits for each.
	AskInterval time.Duration
	// ValueBytes is the longest value that an answer may have. Who has room for it need not say for how much.
	ValueBytes int
	Counters   Counters
}

// Client asks the leaders of partitions, and other nodes. It is safe for use by many goroutines.
type Client struct {
	o       Options
	routes  routes
	ways    ways
	lanes   lanes
	waiting sync.Pool   // of *mailbox
	stop    atomic.Bool // nothing is tried again
}

// NewClient returns a Client. It starts nothing.
func NewClient(o Options) *Client {
	c := &Client{o: o}
	c.waiting.New = newMailbox
	return c
}

// Stop makes the client try nothing again. What is under way ends as it would.
func (c *Client) Stop() { c.stop.Store(true) }

// Stopping reports whether Stop was called.
func (c *Client) Stopping() bool { return c.stop.Load() }

// ErrStopping is the error of what a stopping node is asked for. Certainly nothing of it was done.
func (c *Client) ErrStopping() *kv.Error {
	return kv.Errorf(kv.Unavailable, "node %s is shutting down", c.o.Name)
}

// NotSent reports whether a request was certainly not processed.
func (c *Client) NotSent(err error) bool { return isNoWay(err) || c.o.NotSent(err) }
