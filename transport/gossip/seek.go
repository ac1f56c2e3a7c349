package gossip

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
)

// maxDials is how many addresses are tried at a time.
const maxDials = 8

// After others were heard to know us at another address we tell everyone where we are, once
// per AloneInterval, until that was not heard for this long. They believe it as soon as they
// have noticed that nobody is at the old one.
const (
	movedFor    = 10 * time.Second
	movedAtMost = time.Minute // then there really are two of us, and haste is of no use
)

// seekPeers tries, for ever, the addresses of Join and of the members where no peer is heard.
// Without that, two halves of a cluster that lost each other for longer than memberlist
// remembers the dead would never meet again.
func (g *Gossip) seekPeers(ctx context.Context, ml *memberlist.Memberlist, t *transport) {
	ip, _ := netip.AddrFromSlice(t.ip)
	own := netip.AddrPortFrom(ip.Unmap(), uint16(t.port))
	var since, until time.Time // when we moved, and until when that is news
	for {
		moved := time.Now().Before(until)
		g.seekOnce(ctx, ml, own, moved)
		if g.conflicted.Swap(false) {
			if !moved {
				since = time.Now()
			}
			until = time.Now().Add(movedFor)
		}
		pause := g.opts.RejoinInterval
		if len(g.peers.list()) == 0 || time.Now().Before(until) && time.Since(since) < movedAtMost {
			pause = g.opts.AloneInterval
		}
		select {
		case <-ctx.Done():
			return
		case <-g.seek:
		case <-time.After(jitter(pause)):
		}
	}
}

// jitter spreads d by a fifth both ways, so that nodes that started together do not go on
// dialling each other at the same moment.
func jitter(d time.Duration) time.Duration {
	return d - d/5 + rand.N(max(d*2/5, 1))
}

// seekOnce tries all addresses at which nobody is heard, or, when everyone must hear from us
// that we moved, all of them.
func (g *Gossip) seekOnce(ctx context.Context, ml *memberlist.Memberlist, own netip.AddrPort, everyone bool) {
	dialled, called := g.peers.reached()
	if everyone {
		dialled, called = map[netip.AddrPort]bool{}, map[string]bool{}
	}
	dialled[own] = true
	alone := len(g.peers.list()) == 0

	var (
		wg      sync.WaitGroup
		mu      sync.Mutex
		reached int
		faults  []error
	)
	slots := make(chan struct{}, maxDials)
	for _, address := range g.addresses() {
		if called[address] || ctx.Err() != nil {
			continue
		}
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			n, err := g.seekAt(ctx, ml, address, own.Port(), dialled)
			mu.Lock()
			defer mu.Unlock()
			reached += n
			if err != nil {
				faults = append(faults, err)
			}
		})
	}
	wg.Wait()
	if ctx.Err() != nil {
		return
	}
	switch {
	case reached > 0 && alone: // possibly only ourselves, by another name
		g.log.Debug("gossip: reached some addresses", "addresses", reached)
	case reached == 0 && len(faults) > 0 && alone && g.rare.allow("alone"):
		g.log.Warn("gossip: no other node can be reached yet, trying on", "err", errors.Join(faults...))
	case len(faults) > 0:
		g.log.Debug("gossip: some addresses cannot be reached", "err", errors.Join(faults...))
	}
}

// addresses returns where to look for peers: Join and the members, without ourselves.
func (g *Gossip) addresses() []string {
	g.mu.Lock()
	all := slices.Concat(g.opts.Join, g.members)
	g.mu.Unlock()
	slices.Sort(all)
	return slices.DeleteFunc(slices.Compact(all), g.isOwn)
}

// isOwn reports whether an address is written as this node's own is.
func (g *Gossip) isOwn(address string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return address == g.address || address == g.bound || address == g.meta.Addresses.Gossip
}

// seekAt resolves one address anew and exchanges states with the nodes there, except where
// one is heard already. It returns how many it reached.
func (g *Gossip) seekAt(ctx context.Context, ml *memberlist.Memberlist, address string, ownPort uint16,
	heard map[netip.AddrPort]bool) (int, error) {
	host, port, err := splitJoin(address, strconv.Itoa(int(ownPort)))
	if err != nil {
		return 0, err
	}
	known := g.lastAt(address)
	patience := resolveTimeout
	if len(known) > 0 {
		patience = knownTimeout
	}
	ips, err := g.resolve(ctx, host, patience)
	switch {
	case err == nil:
	case len(known) > 0:
		// A name server that is down or slow does not keep us apart: they are where they were.
		g.log.Debug("gossip: a name does not resolve, trying where it led before", "host", host, "err", err)
		ips = known
	default:
		g.metrics.joins.WithLabelValues("failed").Inc()
		return 0, err
	}
	var errs []error
	reached := 0
	for _, ip := range ips {
		at := netip.AddrPortFrom(ip, port)
		if heard[at] || ctx.Err() != nil {
			continue
		}
		if _, err := ml.Join([]string{at.String()}); err != nil {
			g.metrics.joins.WithLabelValues("failed").Inc()
			errs = append(errs, oneLine(err))
			continue
		}
		g.metrics.joins.WithLabelValues("ok").Inc()
		reached++
		g.remember(address, ip)
	}
	return reached, errors.Join(errs...)
}

// lastAt returns where somebody was reached by an address before: by a join, or because who calls
// itself so was heard there.
func (g *Gossip) lastAt(address string) []netip.Addr {
	if nameIsAll {
		return nil
	}
	var known []netip.Addr
	g.mu.Lock()
	if ip, ok := g.led[address]; ok {
		known = append(known, ip)
	}
	g.mu.Unlock()
	if at, ok := g.peers.heardAs(address); ok && !slices.Contains(known, at.Addr()) {
		known = append(known, at.Addr())
	}
	return known
}

// remember notes where an address led, for as long as it is one to look at.
func (g *Gossip) remember(address string, ip netip.Addr) {
	looked := g.addresses()
	g.mu.Lock()
	defer g.mu.Unlock()
	maps.DeleteFunc(g.led, func(a string, _ netip.Addr) bool { return !slices.Contains(looked, a) })
	g.led[address] = ip
}

// oneLine undoes the lists with bullets that memberlist's errors are.
func oneLine(err error) error {
	return errors.New(strings.Join(strings.Fields(err.Error()), " "))
}
