package gossip

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
)

const (
	streamTimeout = 3 * time.Second        // to connect, and to exchange a whole state
	leaveTimeout  = 500 * time.Millisecond // to tell a few others that we go
)

// Listen finds out where others reach this node, and binds the address to listen on, so that whoever cannot do that
// knows before anything rests on it. Nobody is answered before Run, which calls Listen when nobody did, and closes
// what it has bound. It fails when the address is taken, when the node's own host name does not resolve in time, and
// with the cause of ctx when that ends before.
func (g *Gossip) Listen(ctx context.Context) error {
	if g.inner != nil {
		return nil
	}
	err := g.bind(ctx)
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		return fmt.Errorf("start gossip: %w", err)
	}
	return nil
}

// Run takes part in gossip until ctx ends, then tells the others that this node leaves, and
// returns nil when everything is closed. It fails only at its start, as Listen does. It can be called once.
func (g *Gossip) Run(ctx context.Context) error {
	if !g.ran.CompareAndSwap(false, true) {
		return errors.New("gossip was run before: make a new one")
	}
	if err := g.Listen(ctx); err != nil {
		if ctx.Err() != nil {
			return nil //nolint:nilerr // stopped before it began
		}
		return err
	}
	t, err := g.open()
	if err != nil {
		return fmt.Errorf("start gossip: %w", err)
	}
	ml, err := memberlist.Create(g.config(t, g.logger()))
	if err != nil {
		return errors.Join(fmt.Errorf("start gossip: %w", err), t.Shutdown())
	}
	g.transport.Store(t)
	close(g.started)
	g.log.Info("gossip: listening", "address", g.Addr(), "advertised",
		net.JoinHostPort(t.ip.String(), strconv.Itoa(t.port)))

	var wg sync.WaitGroup
	wg.Go(func() { g.notify(ctx) })
	wg.Go(func() { g.seekPeers(ctx, ml, t) })
	g.speak(ctx, ml)

	if err := ml.Leave(leaveTimeout); err != nil {
		g.log.Debug("gossip: nobody may have heard that we leave", "err", err)
	}
	g.closed.Store(true)
	g.lines.quiet.Store(true)
	err = ml.Shutdown()
	wg.Wait()
	g.peers.allDown()
	return err
}

// speak tells memberlist when our words changed, until ctx ends. It alone does: memberlist
// does not expect two updates at a time, nor one after it left.
func (g *Gossip) speak(ctx context.Context, ml *memberlist.Memberlist) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-g.metaChanged:
			// The words are queued at once; that they were sent need not be waited for.
			if err := ml.UpdateNode(time.Millisecond); err != nil {
				g.log.Debug("gossip: new words are on their way", "err", err)
			}
		}
	}
}

// notify calls OnChange after changes, until ctx ends.
func (g *Gossip) notify(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-g.changed:
			if g.opts.OnChange != nil && ctx.Err() == nil {
				g.opts.OnChange()
			}
		}
	}
}

// bind opens the network, once it is known where others reach us.
func (g *Gossip) bind(ctx context.Context) error {
	ip, err := g.advertisedIP(ctx)
	if err != nil {
		return err
	}
	inner := g.opts.Transport
	if inner == nil {
		if inner, err = g.listenNetwork(ctx, g.logger()); err != nil {
			return err
		}
	}
	g.advertised, g.inner = ip, inner
	return nil
}

// open begins to take what arrives, and completes our words.
func (g *Gossip) open() (*transport, error) {
	inner, ip := g.inner, g.advertised
	auto, port := chooseAddress(inner)
	if ip == nil {
		ip = auto
	}
	t := newTransport(inner, ip, port, g.metrics.streams.Inc, g.whoAmI)

	g.mu.Lock()
	defer g.mu.Unlock()
	g.bound = boundAddress(inner, ip, port)
	host := g.opts.AdvertiseHost
	if host == "" {
		host = ip.String()
	}
	g.address = net.JoinHostPort(host, strconv.Itoa(port))
	if g.meta.Addresses.Gossip == "" {
		g.meta.Addresses.Gossip = g.address
		var err error
		if g.words, err = encodeMeta(g.meta); err != nil {
			return nil, errors.Join(err, t.Shutdown())
		}
	}
	return t, nil
}

// logger is where memberlist's lines go.
func (g *Gossip) logger() *log.Logger { return log.New(g.lines, "", 0) }

// config is tuned for one network of up to some hundred nodes and for noticing a death in
// two to four seconds. Where it differs from memberlist's default for a LAN it says why.
func (g *Gossip) config(t *transport, logger *log.Logger) *memberlist.Config {
	c := memberlist.DefaultLANConfig()
	c.Name = g.opts.ID.String()
	c.Label = g.opts.ClusterName
	c.Transport = t
	c.BindPort = t.port // where memberlist believes a peer that does not say its port
	c.Logger = logger
	d := delegate{g}
	c.Delegate, c.Events, c.Alive, c.Merge, c.Conflict = d, d, d, d, d

	// A dead node: probed within a few intervals, suspected one interval later, and dead after
	// three more (or six while nobody confirms it).
	c.ProbeInterval = g.opts.ProbeInterval
	c.ProbeTimeout = g.opts.ProbeInterval / 2
	c.SuspicionMult = 3
	c.SuspicionMaxTimeoutMult = 2
	// While we ourselves are slow, or several others are dead at once, probe up to 3 times
	// slower, not 8 times: a false alarm costs little here.
	c.AwarenessMaxMultiplier = 3
	// Full states twice as often as usual: they are small, and they repair what was missed.
	c.PushPullInterval = 15 * time.Second
	c.TCPTimeout = streamTimeout
	// News travel in twice as many copies as usual: with four, some node of 5 to 30 now and then missed
	// that another had appeared, until the next full state.
	c.RetransmitMult = 8
	// A node that died may come back at another address, as containers do, after this time.
	// While it is suspected or alive it may not, which is protection enough.
	c.DeadNodeReclaimTime = time.Millisecond
	// Words are short and random. Compressing them costs more than it saves.
	c.EnableCompression = false
	c.HandoffQueueDepth = 1024 // received messages waiting; more are dropped, and repeated
	return c
}
