package peer

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"pxkv/node/kv"
)

// mostTried is how many addresses of one peer a dial tries, and mostGood how many peers' addresses
// are remembered.
const (
	mostTried = 4
	mostGood  = 4096
)

// whereabouts returns the addresses at which to dial a peer, the likeliest first: those that its name
// means now; the one where it was last reached; the one where Seen says it is. A name server that is
// down or slow ends nothing: names are asked for longer only when nothing else is known.
func (t *Transport) whereabouts(ctx context.Context, to kv.NodeID) ([]netip.AddrPort, error) {
	var known []netip.AddrPort
	t.mu.Lock()
	good, ok := t.good[to]
	t.mu.Unlock()
	if ok {
		known = append(known, good)
	}
	addr, ok := t.opt.Resolve(to)
	if !ok {
		if len(known) == 0 {
			return nil, fmt.Errorf("no address of node %s is known", t.opt.Names.Of(to))
		}
		return known, nil
	}
	host, port, err := splitAddress(addr)
	if err != nil {
		return nil, fmt.Errorf("address of node %s: %w", t.opt.Names.Of(to), err)
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return []netip.AddrPort{netip.AddrPortFrom(ip.Unmap(), port)}, nil
	}
	if t.opt.Seen != nil {
		if ip, ok := t.opt.Seen(to); ok {
			known = append(known, netip.AddrPortFrom(ip.Unmap(), port))
		}
	}
	if nameIsAll {
		known = nil
	}
	patience := t.opt.LookupTimeout
	if len(known) == 0 {
		patience = t.opt.DialTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	found, err := t.opt.Lookup(ctx, host)
	if err != nil && len(known) == 0 {
		return nil, err
	}
	if err != nil {
		t.quiet.warn("lookup"+host, "the name of a peer does not resolve: it is dialed where it was before", "peer",
			t.opt.Names.Of(to), "host", host, "error", err)
	}
	all := make([]netip.AddrPort, 0, len(found)+len(known))
	for _, ip := range found {
		all = append(all, netip.AddrPortFrom(ip.Unmap(), port))
	}
	// IPv4 first: an address of the other family may lead nowhere.
	slices.SortStableFunc(all, func(a, b netip.AddrPort) int {
		switch {
		case a.Addr().Is4() == b.Addr().Is4():
			return 0
		case a.Addr().Is4():
			return -1
		}
		return 1
	})
	all = all[:min(len(all), mostTried)]
	for _, at := range known {
		if !slices.Contains(all, at) {
			all = append(all, at)
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("host %q of node %s has no address", host, t.opt.Names.Of(to))
	}
	return all, nil
}

func splitAddress(addr string) (host string, port uint16, err error) {
	host, text, err := net.SplitHostPort(addr)
	if err != nil {
		return "", 0, err
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return "", 0, fmt.Errorf("%q: port must be a number up to 65535", addr)
	}
	return host, uint16(n), nil
}

// dialAny connects with the first address at which somebody answers, within the dial timeout. Each
// gets an equal share of what is left of it.
func (t *Transport) dialAny(ctx context.Context, all []netip.AddrPort) (net.Conn, error) {
	end := time.Now().Add(t.opt.DialTimeout)
	var faults []error
	for i, at := range all {
		d := net.Dialer{
			Timeout: max(time.Until(end), time.Millisecond) / time.Duration(len(all)-i), KeepAliveConfig: keepAlive,
		}
		d.SetMultipathTCP(false)
		conn, err := d.DialContext(ctx, "tcp", at.String())
		if err == nil {
			return conn, nil
		}
		if faults = append(faults, err); ctx.Err() != nil {
			break
		}
	}
	return nil, errors.Join(faults...)
}

// remember notes where a peer was reached, with a handshake that proved that it is the one.
func (t *Transport) remember(to kv.NodeID, conn net.Conn) {
	tcp, ok := conn.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return
	}
	at := tcp.AddrPort()
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, had := t.good[to]; !had && len(t.good) >= mostGood {
		clear(t.good) // of nodes that came and went
	}
	t.good[to] = netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
}
