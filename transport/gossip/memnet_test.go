package gossip

import (
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/memberlist"
)

// memNet is a network in memory, made for testing/synctest: packets travel with a delay, in
// buffered channels that drop what does not fit, and are lost at will; nothing ever blocks a
// sender, unlike in memberlist's own MockTransport. Streams are pipes.
type memNet struct {
	delay time.Duration

	mu    sync.Mutex
	rng   *rand.Rand
	loss  float64                        // probability that a packet is lost
	hosts map[netip.AddrPort]*memHost    // that listen
	apart func(a, b netip.AddrPort) bool // reports whether two addresses cannot reach each other
}

func newMemNet() *memNet {
	return &memNet{
		delay: 300 * time.Microsecond,
		rng:   rand.New(rand.NewPCG(1, 1)),
		hosts: make(map[netip.AddrPort]*memHost),
	}
}

// listen returns the transport of a host at address, which must be free.
func (n *memNet) listen(address string) *memHost {
	h := &memHost{
		net: n, at: netip.MustParseAddrPort(address),
		packets: make(chan *memberlist.Packet, 1024),
		streams: make(chan net.Conn, 64),
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.hosts[h.at] != nil {
		panic("address in use: " + address)
	}
	n.hosts[h.at] = h
	return h
}

// separate makes all pairs of addresses for which apart holds unreachable; nil heals.
func (n *memNet) separate(apart func(a, b netip.AddrPort) bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.apart = apart
}

// isolate makes one address unreachable, as a crash of its host does.
func (n *memNet) isolate(address string) {
	gone := netip.MustParseAddrPort(address)
	n.separate(func(a, b netip.AddrPort) bool { return a == gone || b == gone })
}

func (n *memNet) setLoss(p float64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.loss = p
}

// route returns who listens at to, nil if nobody does; reached is false when nothing that
// from sends ever arrives there.
func (n *memNet) route(from, to netip.AddrPort) (h *memHost, reached bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.apart != nil && n.apart(from, to) {
		return nil, false
	}
	return n.hosts[to], true
}

func (n *memNet) lost() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.rng.Float64() < n.loss
}

// memHost is the memberlist.Transport of one address.
type memHost struct {
	net     *memNet
	at      netip.AddrPort
	packets chan *memberlist.Packet
	streams chan net.Conn
}

var _ memberlist.Transport = (*memHost)(nil)

func (h *memHost) FinalAdvertiseAddr(string, int) (net.IP, int, error) {
	return h.at.Addr().AsSlice(), int(h.at.Port()), nil
}

func (h *memHost) PacketCh() <-chan *memberlist.Packet { return h.packets }
func (h *memHost) StreamCh() <-chan net.Conn           { return h.streams }

func (h *memHost) WriteTo(b []byte, address string) (time.Time, error) {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return time.Time{}, err
	}
	now := time.Now()
	packet := &memberlist.Packet{Buf: append([]byte(nil), b...), From: net.UDPAddrFromAddrPort(h.at)}
	time.AfterFunc(h.net.delay, func() {
		if target, _ := h.net.route(h.at, to); target != nil && !h.net.lost() {
			packet.Timestamp = time.Now()
			select {
			case target.packets <- packet:
			default:
			}
		}
	})
	return now, nil
}

func (h *memHost) DialTimeout(address string, timeout time.Duration) (net.Conn, error) {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, err
	}
	target, reached := h.net.route(h.at, to)
	if !reached {
		time.Sleep(timeout)
		return nil, errors.New("dial timeout")
	}
	if target == nil {
		return nil, syscall.ECONNREFUSED
	}
	here, there := net.Pipe()
	select {
	case target.streams <- there:
		return here, nil
	default:
		return nil, syscall.ECONNREFUSED
	}
}

// Shutdown frees the address.
func (h *memHost) Shutdown() error {
	h.net.mu.Lock()
	defer h.net.mu.Unlock()
	if h.net.hosts[h.at] == h {
		delete(h.net.hosts, h.at)
	}
	return nil
}
