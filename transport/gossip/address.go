package gossip

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"time"

	"github.com/hashicorp/memberlist"
)

const (
	resolveRetry   = 500 * time.Millisecond // between two tries at the start
	resolveTimeout = 5 * time.Second        // of one try
	knownTimeout   = 500 * time.Millisecond // of one try for a name at which somebody was reached before
	maxResolved    = 32                     // addresses of one name that are looked at
	bindTries      = 10
)

// advertisedIP resolves AdvertiseHost, nil when there is none. At the start of a container
// its name may not be known yet, so it tries for a while.
func (g *Gossip) advertisedIP(ctx context.Context) (net.IP, error) {
	if g.opts.AdvertiseHost == "" {
		return nil, nil
	}
	ip, err := g.resolvePatiently(ctx, g.opts.AdvertiseHost)
	if err != nil {
		return nil, fmt.Errorf("advertised host: %w; check --advertise", err)
	}
	return ip.AsSlice(), nil
}

// resolvePatiently resolves one of our own names, for as long as ResolveTimeout.
func (g *Gossip) resolvePatiently(ctx context.Context, host string) (netip.Addr, error) {
	ctx, cancel := context.WithTimeout(ctx, g.opts.ResolveTimeout)
	defer cancel()
	level := slog.LevelWarn // once: nothing else is said while it is waited for
	for {
		ips, err := g.resolve(ctx, host, resolveTimeout)
		if err == nil {
			return mostReachable(ips), nil
		}
		g.log.Log(ctx, level, "gossip: own host name does not resolve yet, trying on", "host", host,
			"for", g.opts.ResolveTimeout, "err", err)
		level = slog.LevelDebug
		select {
		case <-ctx.Done():
			return netip.Addr{}, fmt.Errorf("%q did not resolve within %v: %w", host, g.opts.ResolveTimeout, err)
		case <-time.After(resolveRetry):
		}
	}
}

// resolve looks host up anew, unless it is an IP address. It returns one address at least.
func (g *Gossip) resolve(ctx context.Context, host string, patience time.Duration) ([]netip.Addr, error) {
	if ip, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{ip.Unmap()}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	found, err := g.opts.Resolve(ctx, host)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("host %q has no address", host)
	}
	ips := make([]netip.Addr, 0, min(len(found), maxResolved))
	for _, ip := range found[:min(len(found), maxResolved)] {
		ips = append(ips, ip.Unmap())
	}
	return ips, nil
}

// mostReachable prefers an IPv4 address to IPv6, and everything to loopback, which many
// systems write down for their own name.
func mostReachable(ips []netip.Addr) netip.Addr {
	best := ips[0]
	rank := func(ip netip.Addr) int {
		switch {
		case ip.IsLoopback() || ip.IsUnspecified():
			return 0
		case ip.IsLinkLocalUnicast():
			return 1
		case ip.Is6():
			return 2
		}
		return 3
	}
	for _, ip := range ips[1:] {
		if rank(ip) > rank(best) {
			best = ip
		}
	}
	return best
}

// listenNetwork binds UDP and TCP to the same port.
func (g *Gossip) listenNetwork(ctx context.Context, logger *log.Logger) (memberlist.Transport, error) {
	host, port, err := splitHostPort(g.opts.Bind)
	if err != nil {
		return nil, err
	}
	bind := "0.0.0.0"
	if host != "" {
		ip, err := g.resolvePatiently(ctx, host)
		if err != nil {
			return nil, fmt.Errorf("host to listen on: %w; check --gossip", err)
		}
		bind = ip.String()
	}
	tries := 1
	if port == 0 {
		tries = bindTries // a port that is free for TCP may be taken for UDP
	}
	for {
		t, err := memberlist.NewNetTransport(&memberlist.NetTransportConfig{
			BindAddrs: []string{bind}, BindPort: int(port), Logger: logger,
		})
		if err == nil {
			return t, nil
		}
		if tries--; tries == 0 {
			return nil, fmt.Errorf("listen on %s for gossip: %w (--gossip takes another address)", g.opts.Bind, err)
		}
	}
}

// chooseAddress returns where others reach a node that was not told: the address it is bound
// to; when that is all of them memberlist's choice among the private ones; else the first of
// the host that is not loopback; else loopback, where at least other processes reach it.
func chooseAddress(inner memberlist.Transport) (net.IP, int) {
	ip, port, err := inner.FinalAdvertiseAddr("", 0)
	if nt, ok := inner.(*memberlist.NetTransport); ok {
		port = nt.GetAutoBindPort()
	}
	if err == nil && !ip.IsUnspecified() {
		return ip, port
	}
	candidates := []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1})}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		addrs = nil
	}
	for _, a := range addrs {
		if prefix, err := netip.ParsePrefix(a.String()); err == nil {
			candidates = append(candidates, prefix.Addr().Unmap())
		}
	}
	return mostReachable(candidates).AsSlice(), port
}

// boundAddress returns where inner listens, for people and tests on the same host.
func boundAddress(inner memberlist.Transport, ip net.IP, port int) string {
	if _, ok := inner.(*memberlist.NetTransport); ok {
		if bound, _, err := inner.FinalAdvertiseAddr("", 0); err == nil {
			ip = bound
		}
	}
	return net.JoinHostPort(ip.String(), strconv.Itoa(port))
}
