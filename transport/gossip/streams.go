package gossip

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
)

// Limits of what others can make memberlist do at a time: it starts a goroutine for each
// connection, and reads as much as it is told to.
const (
	maxStreams     = 64
	maxStreamBytes = 4 << 20 // in one direction; the state of maxKnown nodes is below 2 MiB
)

var (
	errShutdown    = errors.New("gossip is shut down")
	errStreamLimit = errors.New("gossip stream is longer than 4 MiB")
)

// transport is a memberlist.Transport around another, the network as a rule. It advertises
// the address that we chose, bounds streams in number and length, and closes them all at
// Shutdown, so that memberlist's goroutines end.
type transport struct {
	memberlist.Transport // carries the packets
	dial                 func(ctx context.Context, address string) (net.Conn, error)
	ip                   net.IP
	port                 int
	refused              func()        // a stream was closed because too many were open
	who                  func() []byte // this node's answer to who is here

	accepted chan net.Conn
	ctx      context.Context // done when Shutdown begins
	cancel   context.CancelFunc
	stopped  chan struct{} // closed when inner no longer hands out streams
	stop     sync.Once
	accept   sync.WaitGroup

	mu      sync.Mutex
	streams map[*stream]struct{} // open, both ways
	inbound int
}

var _ memberlist.NodeAwareTransport = (*transport)(nil)

// newTransport starts to take inner's streams. Shutdown ends that.
func newTransport(inner memberlist.Transport, ip net.IP, port int, refused func(), who func() []byte) *transport {
	t := &transport{
		Transport: inner, ip: ip, port: port, refused: refused, who: who,
		accepted: make(chan net.Conn),
		stopped:  make(chan struct{}),
		streams:  make(map[*stream]struct{}),
	}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	t.dial = func(ctx context.Context, address string) (net.Conn, error) {
		deadline, _ := ctx.Deadline()
		return inner.DialTimeout(address, time.Until(deadline))
	}
	if _, ok := inner.(*memberlist.NetTransport); ok {
		t.dial = func(ctx context.Context, address string) (net.Conn, error) {
			var d net.Dialer // unlike NetTransport's it can be interrupted
			return d.DialContext(ctx, "tcp", address)
		}
	}
	t.accept.Go(t.acceptStreams)
	return t
}

// FinalAdvertiseAddr implements memberlist.Transport.
func (t *transport) FinalAdvertiseAddr(string, int) (net.IP, int, error) { return t.ip, t.port, nil }

// StreamCh implements memberlist.Transport.
func (t *transport) StreamCh() <-chan net.Conn { return t.accepted }

// WriteToAddress implements memberlist.NodeAwareTransport.
func (t *transport) WriteToAddress(b []byte, a memberlist.Address) (time.Time, error) {
	return t.WriteTo(b, a.Addr)
}

// DialAddressTimeout implements memberlist.NodeAwareTransport.
func (t *transport) DialAddressTimeout(a memberlist.Address, timeout time.Duration) (net.Conn, error) {
	return t.DialTimeout(a.Addr, timeout)
}

// DialTimeout implements memberlist.Transport.
func (t *transport) DialTimeout(address string, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(t.ctx, timeout)
	defer cancel()
	if t.ctx.Err() != nil {
		return nil, errShutdown
	}
	conn, err := t.dial(ctx, address)
	if err != nil {
		return nil, err
	}
	// Memberlist writes the label before it sets a deadline of its own.
	if err := conn.SetDeadline(time.Now().Add(timeout)); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	s, ok := t.open(conn, false)
	if !ok {
		return nil, errors.Join(errShutdown, conn.Close())
	}
	return s, nil
}

// Shutdown implements memberlist.Transport. It may be called more than once.
func (t *transport) Shutdown() error {
	t.cancel()
	t.accept.Go(t.dropPackets)
	err := t.Transport.Shutdown() // its listeners hand on what they hold until they end
	t.stop.Do(func() { close(t.stopped) })
	t.accept.Wait()
	t.mu.Lock()
	open := make([]*stream, 0, len(t.streams))
	for s := range t.streams {
		open = append(open, s)
	}
	t.mu.Unlock()
	for _, s := range open {
		err = errors.Join(err, s.Close())
	}
	return err
}

// acceptStreams hands inner's streams on to memberlist, and after Shutdown began closes them
// until there are no more.
func (t *transport) acceptStreams() {
	for {
		select {
		case <-t.stopped:
			return
		case conn := <-t.Transport.StreamCh():
			s, ok := t.open(conn, true)
			if !ok {
				_ = conn.Close()
				continue
			}
			t.accept.Go(func() { t.sort(s) })
		}
	}
}

// sort answers a stream that asks who is here, and hands any other one to memberlist.
func (t *transport) sort(s *stream) {
	defer context.AfterFunc(t.ctx, func() { _ = s.Close() })()
	if answered, err := s.answerWho(t.who); answered || err != nil {
		_ = s.Close()
		return
	}
	select {
	case t.accepted <- s:
	case <-t.ctx.Done():
		_ = s.Close()
	}
}

// dropPackets takes inner's packets while it shuts down: memberlist may not, and inner would
// wait for someone who does.
func (t *transport) dropPackets() {
	for {
		select {
		case <-t.stopped:
			return
		case <-t.PacketCh():
		}
	}
}

// open begins to keep account of conn, unless it is too late or there are too many.
func (t *transport) open(conn net.Conn, inbound bool) (*stream, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ctx.Err() != nil {
		return nil, false
	}
	if inbound {
		if t.inbound >= maxStreams {
			t.refused()
			return nil, false
		}
		t.inbound++
	}
	s := &stream{Conn: conn, t: t, inbound: inbound, left: maxStreamBytes}
	t.streams[s] = struct{}{}
	return s, true
}

// stream is a connection of which transport keeps account.
type stream struct {
	net.Conn
	t       *transport
	inbound bool
	left    int    // bytes that may yet be read; only its one reader uses it
	ahead   []byte // was read to see what the stream is about, and counts in left
	once    sync.Once
}

// Read implements net.Conn.
func (s *stream) Read(b []byte) (int, error) {
	if s.left == 0 {
		return 0, errStreamLimit
	}
	b = b[:min(len(b), s.left)]
	if len(s.ahead) > 0 {
		n := copy(b, s.ahead)
		s.ahead, s.left = s.ahead[n:], s.left-n
		return n, nil
	}
	n, err := s.Conn.Read(b)
	s.left -= n
	return n, err
}

// Close implements net.Conn. It may be called more than once.
func (s *stream) Close() error {
	var err error
	s.once.Do(func() {
		s.t.mu.Lock()
		delete(s.t.streams, s)
		if s.inbound {
			s.t.inbound--
		}
		s.t.mu.Unlock()
		err = s.Conn.Close()
	})
	return err
}
