package peer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pxkv/node/kv"
	"pxkv/transport/wiretest"
)

func TestFramesArriveInOrderAndBatchesEnd(t *testing.T) {
	t.Parallel()
	var b book
	const total = 5000
	var next, batches, atEnd atomic.Int64
	n1 := start(t, &b, 1, &testHandler{})
	start(t, &b, 2, &testHandler{
		frame: func(_ Remote, frame []byte) {
			if got := int64(binary.LittleEndian.Uint64(frame)); got != next.Load() {
				t.Errorf("frame %d arrived where %d was due", got, next.Load())
			}
			next.Add(1)
		},
		batchEnd: func() { batches.Add(1); atEnd.Store(next.Load()) },
	})
	for i := range total {
		if !n1.Send(2, binary.LittleEndian.AppendUint64(nil, uint64(i))) {
			t.Fatalf("frame %d was dropped", i)
		}
	}
	wiretest.Eventually(t, "all frames are handled and their batch has ended", func() bool {
		return atEnd.Load() == total
	})
	if n := batches.Load(); n > total/4 {
		t.Errorf("%d frames took %d batches", total, n)
	}
}

func TestOneReadIsOneBatchAndOneWrite(t *testing.T) {
	t.Parallel()
	var b book
	var order []byte // only touched by the reader goroutine until it is done
	ended := make(chan struct{}, 1)
	n := start(t, &b, 1, &testHandler{
		frame: func(Remote, []byte) { order = append(order, 'f') },
		request: func(_ Remote, _ uint8, _ time.Time, p []byte, reply func([]byte, error)) {
			order = append(order, 'r')
			reply(p, nil)
		},
		batchEnd: func() { order = append(order, '.'); ended <- struct{}{} },
	})
	conn := dialPipe(t, n, 2)
	var all []byte
	for i := range 3 {
		all = append(all, message(item{typ: typeFrame, payload: []byte("x")})...)
		all = append(all, message(item{typ: typeRequest, id: uint64(i), millis: 1000})...)
	}
	wiretest.Eventually(t, "the writer has nothing to do", func() bool {
		p := n.Transport.peer(2)
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.current != nil && p.current.parked
	})
	if _, err := conn.Write(all); err != nil {
		t.Fatal(err)
	}
	<-ended
	if string(order) != "frfrfr." {
		t.Errorf("the handler was called as %q", order)
	}
	buf := make([]byte, 1<<10)
	got, err := conn.Read(buf)
	if want := 3 * (minMessage + responseSize); err != nil || got != want {
		t.Errorf("the first write has %d bytes, %v; want three answers of together %d", got, err, want)
	}
}

func TestQueueOverflow(t *testing.T) {
	t.Parallel()
	var b book
	release := make(chan struct{})
	acceptRaw(t, &b, 2, func(net.Conn) { <-release }) // shakes hands and never reads
	t.Cleanup(func() { close(release) })
	n1 := start(t, &b, 1, &testHandler{}, func(o *Options) {
		o.QueueBytes, o.DeadAfter = 64<<10, time.Minute
	})

	frame := make([]byte, 8<<10)
	wiretest.Eventually(t, "a frame is dropped", func() bool { return !n1.Send(2, frame) })
	wantErr(t, get(t, ask(t, n1.Transport, 2, time.Time{}, frame)).err, errQueueFull)
	p := (*n1.peers.Load())[2]
	p.mu.Lock()
	queued := p.outBytes
	p.mu.Unlock()
	if queued > 64<<10 {
		t.Errorf("%d bytes are queued, the limit is %d", queued, 64<<10)
	}
	if p.traffic.droppedFrames.Load() == 0 {
		t.Error("the dropped frame was not counted")
	}
}

func TestBrokenConnectionLosesWhatWasWritten(t *testing.T) {
	t.Parallel()
	var b book
	var arrived atomic.Int64
	gone := make(chan kv.NodeID, 10)
	n1 := start(t, &b, 1, &testHandler{disconnect: func(id kv.NodeID) { gone <- id }})
	n2 := start(t, &b, 2, &testHandler{request: func(Remote, uint8, time.Time, []byte, func([]byte, error)) {
		arrived.Add(1)
	}})
	var asked []<-chan result
	for range 100 {
		asked = append(asked, ask(t, n1.Transport, 2, time.Time{}, nil))
	}
	wiretest.Eventually(t, "all requests arrive", func() bool { return arrived.Load() == 100 })
	breakLinks(n2.Transport, 1)
	for _, ch := range asked {
		wantErr(t, get(t, ch).err, ErrLost)
	}
	if id := <-gone; id != 2 {
		t.Errorf("node %v was reported as gone", id)
	}
}

// A write breaks in the middle: exactly the requests of which the peer may have every byte
// are lost; the others were certainly not processed.
func TestBrokenWriteSeparatesLostFromNotSent(t *testing.T) {
	t.Parallel()
	const total, complete = 10, 4
	size := len(message(item{typ: typeRequest, payload: make([]byte, 100)}))
	for _, c := range []struct {
		name     string
		written  int // bytes of the ten requests
		lost     int // requests that may have arrived
		nextHome bool
	}{
		{"nothing", 0, 0, false},
		{"all but the last byte of the first", size - 1, 0, false},
		{"the first", size, 1, false},
		{"four and a half", complete*size + size/2, complete, false},
		{"all but the last byte", total*size - 1, total - 1, false},
		{"four and a half, with another way", complete*size + size/2, complete, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var b book
			n1 := start(t, &b, 1, &testHandler{})
			conn := newScriptedConn()
			n1.spawn(func() {
				n1.runLink(conn, agreed(2), true)
			})
			wiretest.Eventually(t, "the link is up", func() bool { return links(n1.Transport, 2) == 1 })
			n1.Send(2, []byte("keeps the writer busy"))
			<-conn.writing
			var asked []<-chan result
			for i := range total {
				p := make([]byte, 100)
				p[0] = byte(i)
				asked = append(asked, ask(t, n1.Transport, 2, time.Time{}, p))
			}
			if c.nextHome {
				start(t, &b, 2, &testHandler{})
			}
			conn.budget <- 1 << 20
			if got := len(<-conn.writing); got != total*size {
				t.Fatalf("%d bytes in the write, want %d", got, total*size)
			}
			conn.budget <- c.written
			for i, ch := range asked {
				r := get(t, ch)
				switch {
				case i < c.lost:
					wantErr(t, r.err, ErrLost)
				case !c.nextHome:
					wantErr(t, r.err, ErrNotSent)
				case r.err != nil || r.payload[0] != byte(i):
					t.Errorf("request %d did not take the other way: %v", i, r.err)
				}
			}
		})
	}
}

func TestRequestsExpireInTheQueueAndAreNotWritten(t *testing.T) {
	t.Parallel()
	var b book
	n1 := start(t, &b, 1, &testHandler{})
	conn := newScriptedConn()
	n1.spawn(func() {
		n1.runLink(conn, agreed(2), true)
	})
	wiretest.Eventually(t, "the link is up", func() bool { return links(n1.Transport, 2) == 1 })
	n1.Send(2, []byte("keeps the writer busy"))
	<-conn.writing
	short := ask(t, n1.Transport, 2, time.Now().Add(20*time.Millisecond), []byte("short"))
	long := ask(t, n1.Transport, 2, time.Time{}, []byte("long"))
	wantErr(t, get(t, short).err, errExpired)
	conn.budget <- 1 << 20
	if got, want := len(<-conn.writing), len(message(item{typ: typeRequest, payload: []byte("long")})); got != want {
		t.Errorf("%d bytes were written, want only the request with time left: %d", got, want)
	}
	conn.Close()
	wantErr(t, get(t, long).err, ErrNotSent) // the write took nothing
}

func TestRestartOnTheSameAddress(t *testing.T) {
	t.Parallel()
	var b book
	var incarnations sync.Map
	n1 := start(t, &b, 1, &testHandler{frame: func(from Remote, _ []byte) {
		incarnations.Store(from.Incarnation, true)
	}})
	n2 := start(t, &b, 2, &testHandler{})
	if _, err := n1.call(within(t, 30*time.Second), 2, 1, nil); err != nil {
		t.Fatal(err)
	}
	addr := n2.Addr()
	n2.stop()
	wantErr(t, get(t, ask(t, n1.Transport, 2, time.Time{}, nil)).err, ErrNotSent)

	n2 = start(t, &b, 2, &testHandler{}, incarnation(2), func(o *Options) { o.Listen = addr })
	wiretest.Eventually(t, "the restarted node is reached", func() bool {
		_, err := n1.call(within(t, 30*time.Second), 2, 1, nil)
		return err == nil
	})
	n2.Send(1, []byte("here again"))
	wiretest.Eventually(t, "the new incarnation is seen",
		func() bool { _, ok := incarnations.Load(uint64(2)); return ok })
}

func TestASecondProcessOfALivingNodeIsRefused(t *testing.T) {
	t.Parallel()
	var b book
	var log logBook
	n1 := start(t, &b, 1, &testHandler{}, log.option)
	first := dialRaw(t, n1, 2, purposeLink)
	wiretest.Eventually(t, "the first link is up", func() bool { return links(n1.Transport, 2) == 1 })
	second := start(t, &b, 2, &testHandler{}, incarnation(2))
	// It calls, and it is called: both are refused, and told why.
	wantErr(t, get(t, ask(t, second.Transport, 1, time.Time{}, nil)).err, ErrNotSent)
	wiretest.Eventually(t, "the log says why", func() bool { return log.count("as another process, which lives") > 0 })
	if got := links(n1.Transport, 2); got != 1 {
		t.Fatalf("%d links, want the first one alone", got)
	}
	// When the first has ended, the second is only a restart.
	first.Close()
	wiretest.Eventually(t, "the first link is gone", func() bool { return links(n1.Transport, 2) == 0 })
	wiretest.Eventually(t, "the second is taken", func() bool {
		_, err := second.call(within(t, 30*time.Second), 1, 1, nil)
		return err == nil
	})
}

func TestInboundConnectionServesBothDirectionsAndEndsBackoff(t *testing.T) {
	t.Parallel()
	var b book
	n1 := start(t, &b, 1, &testHandler{})
	for range 6 { // no address yet: n1's backoff grows to seconds
		wiretest.Eventually(t, "a dial fails", func() bool {
			return get(t, ask(t, n1.Transport, 2, time.Time{}, nil)).err == errDialFailed
		})
	}
	if n1.Send(2, nil) {
		t.Error("a frame for an unreachable peer was queued")
	}
	n2 := start(t, &b, 2, &testHandler{})
	if _, err := n2.call(within(t, 30*time.Second), 1, 1, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := n1.call(within(t, 30*time.Second), 2, 1, nil); err != nil {
		t.Errorf("the connection that the peer opened was not used: %v", err)
	}
}

// Both nodes dial before either handshake is through. Both links work, both nodes send on
// the one that the smaller id dialed, and the other goes away without harm.
func TestSimultaneousDialsEndInOneLink(t *testing.T) {
	t.Parallel()
	var b book
	var waiting sync.WaitGroup
	waiting.Add(2)
	meet := sync.OnceFunc(waiting.Wait)
	var met atomic.Int64 // calls of Admit; the first of each node is about the other's hello
	barrier := func(o *Options) {
		o.DeadAfter = 300 * time.Millisecond
		o.Admit = func(Remote) error {
			if met.Add(1) <= 2 {
				waiting.Done()
			}
			meet()
			return nil
		}
	}
	n1, n2 := start(t, &b, 1, &testHandler{}, barrier), start(t, &b, 2, &testHandler{}, barrier)
	first, second := ask(t, n1.Transport, 2, time.Time{}, []byte("a")), ask(t, n2.Transport, 1, time.Time{},
		[]byte("b"))
	for _, ch := range []<-chan result{first, second} {
		if r := get(t, ch); r.err != nil {
			t.Fatal(r.err)
		}
	}
	wiretest.Eventually(t, "both links are up", func() bool {
		return links(n1.Transport, 2) == 2 && links(n2.Transport, 1) == 2
	})
	wiretest.Eventually(t, "one link is left", func() bool {
		for _, ch := range []<-chan result{
			ask(t, n1.Transport, 2, time.Time{}, nil), ask(t, n2.Transport, 1, time.Time{}, nil),
		} {
			if r := get(t, ch); r.err != nil {
				t.Fatalf("a request failed while the second link went away: %v", r.err)
			}
		}
		return links(n1.Transport, 2) == 1 && links(n2.Transport, 1) == 1
	})
	p := (*n1.peers.Load())[2]
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.links[0].dialed {
		t.Error("the link that the larger id dialed is left")
	}
}

func TestLinkThatBreaksAtOnceIsNotDialedInATightLoop(t *testing.T) {
	t.Parallel()
	var b book
	var dials atomic.Int64
	acceptRaw(t, &b, 2, func(net.Conn) { dials.Add(1) }) // shakes hands and hangs up
	n1 := start(t, &b, 1, &testHandler{})
	begin := time.Now()
	wiretest.Eventually(t, "it is dialed again and again", func() bool {
		n1.Send(2, nil)
		return dials.Load() >= 4
	})
	// Between them lie three pauses, of which each may be shorter by a quarter.
	if took, least := time.Since(begin), (1+2+4)*minBackoff*3/4; took < least {
		t.Errorf("four dials in %v, want at least %v", took, least)
	}
}

// Between a link's break and the end of its goroutines nothing may dial yet: whoever sends all the time would always
// dial in that moment, and never wait.
func TestYoungLinkThatBreaksDelaysTheNextDialFromThatMomentOn(t *testing.T) {
	t.Parallel()
	var b book
	n1 := start(t, &b, 1, &testHandler{})
	start(t, &b, 2, &testHandler{})
	if _, err := n1.call(within(t, 30*time.Second), 2, 1, nil); err != nil {
		t.Fatal(err)
	}
	p := (*n1.peers.Load())[2]
	p.mu.Lock()
	defer p.mu.Unlock()
	p.links[0].since = p.t.now()
	p.links[0].close(errors.New("a test broke it"))
	if err := p.room(1); !errors.Is(err, errUnreachable) {
		t.Errorf("room right after the break: %v, want %v", err, errUnreachable)
	}
}

func TestLinkEndsWhenTheNodesTurnOutToBeOfDifferentClusters(t *testing.T) {
	t.Parallel()
	var b book
	var cluster atomic.Uint64
	n1 := start(t, &b, 1, &testHandler{}, func(o *Options) {
		o.DeadAfter = 2 * time.Second // links are looked at six times as often
		o.Cluster = func() kv.ClusterID { return kv.ClusterID(cluster.Load()) }
	})
	start(t, &b, 2, &testHandler{})
	if _, err := n1.call(within(t, 30*time.Second), 2, 1, nil); err != nil {
		t.Fatal(err)
	}
	cluster.Store(uint64(testCluster) + 1)
	wiretest.Eventually(t, "the link ends", func() bool { return links(n1.Transport, 2) == 0 })
}

func TestSilentPeerIsGivenUp(t *testing.T) {
	t.Parallel()
	var b book
	release := make(chan struct{})
	defer close(release)
	acceptRaw(t, &b, 2, func(net.Conn) { <-release })
	gone := make(chan kv.NodeID, 10)
	n1 := start(t, &b, 1, &testHandler{disconnect: func(id kv.NodeID) { gone <- id }},
		func(o *Options) { o.DeadAfter = 200 * time.Millisecond })
	begin := time.Now()
	wantErr(t, get(t, ask(t, n1.Transport, 2, time.Time{}, nil)).err, ErrLost)
	if took := time.Since(begin); took < 150*time.Millisecond || took > 20*time.Second {
		t.Errorf("it took %v to give up a peer that is silent for 200 ms", took)
	}
	<-gone
}

// Nobody waits for the next connection with a peer that has fallen silent: what is asked meanwhile certainly does not
// get there, and can be asked of others.
func TestNobodyWaitsForASilentPeer(t *testing.T) {
	t.Parallel()
	var b book
	release := make(chan struct{})
	defer close(release)
	acceptRaw(t, &b, 2, func(net.Conn) { <-release })
	silent := make(chan kv.NodeID, 1000)
	n1 := start(t, &b, 1, &testHandler{silent: func(id kv.NodeID) { silent <- id }}, func(o *Options) {
		o.DeadAfter = time.Second // by then it is elsewhere, also on a busy machine
	})
	hole, err := net.Listen("tcp", "127.0.0.1:0") // takes connections and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer hole.Close()
	lost := ask(t, n1.Transport, 2, time.Time{}, nil)
	wiretest.Eventually(t, "it is linked", func() bool { return links(n1.Transport, 2) == 1 })
	b.set(2, hole.Addr().String())
	if err := get(t, lost).err; !errors.Is(err, ErrLost) || Silent(err) {
		t.Errorf("the request that was under way ends with %v", err)
	}
	if id := <-silent; id != 2 {
		t.Errorf("node %v is said to be silent", id)
	}
	for range 3 { // the first one makes it dial
		if err := get(t, ask(t, n1.Transport, 2, time.Time{}, nil)).err; !errors.Is(err, errQuiet) || !Silent(err) ||
			!Unreachable(err) {
			t.Errorf("a request to a silent peer ends with %v", err)
		}
	}
	start(t, &b, 2, &testHandler{})
	wiretest.Eventually(t, "the peer is asked again", func() bool {
		return get(t, ask(t, n1.Transport, 2, time.Time{}, nil)).err == nil
	})
}

func TestIdleLinkStaysAndMeasuresRoundTrips(t *testing.T) {
	t.Parallel()
	for tries := 1; ; tries++ {
		var b book
		quick := func(o *Options) { o.DeadAfter = 200 * time.Millisecond }
		gone := make(chan kv.NodeID, 10)
		n1 := start(t, &b, 1, &testHandler{disconnect: func(id kv.NodeID) { gone <- id }}, quick)
		start(t, &b, 2, &testHandler{}, quick)
		wiretest.Eventually(t, "a round trip is measured", func() bool {
			n1.Send(2, nil)
			p := (*n1.peers.Load())[2]
			p.mu.Lock()
			defer p.mu.Unlock()
			return p.current != nil && p.current.rtt.Load() > 0
		})
		select {
		case <-gone:
			if tries == 5 { // on a busy machine an answer to a ping may take that long now and then
				t.Fatal("idle links are given up")
			}
		case <-time.After(800 * time.Millisecond):
			return
		}
	}
}

func TestDamagedStreamsAreClosed(t *testing.T) {
	t.Parallel()
	flipped := message(item{typ: typeFrame, payload: []byte("payload")})
	flipped[len(flipped)-1] ^= 1
	for name, bytes := range map[string][]byte{
		"wrong checksum": flipped,
		"length zero":    make([]byte, 32),
		"huge length":    slices.Repeat([]byte{0xff}, 32),
		"unknown type":   message(item{typ: 99}),
		"short request":  withSum(typeRequest, make([]byte, requestSize-1)),
		"short response": withSum(typeResponse, make([]byte, responseSize-1)),
		"long ping":      withSum(typePing, make([]byte, pingSize+1)),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var b book
			n := start(t, &b, 1, &testHandler{})
			conn := dialRaw(t, n, 2, purposeLink)
			good := message(item{typ: typeFrame, payload: []byte("fine")})
			if _, err := conn.Write(append(good, bytes...)); err != nil {
				t.Fatal(err)
			}
			wantClosed(t, conn)
		})
	}
}

// withSum encodes a message with a body of any length.
func withSum(typ uint8, body []byte) []byte {
	content := append([]byte{typ}, body...)
	b := binary.LittleEndian.AppendUint32(nil, uint32(len(content)))
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(content, castagnoli))
	return append(b, content...)
}

func TestUnusedPeersAreForgotten(t *testing.T) {
	t.Parallel()
	var b book
	n1 := start(t, &b, 1, &testHandler{})
	n2 := start(t, &b, 2, &testHandler{})
	if _, err := n1.call(within(t, 30*time.Second), 2, 1, nil); err != nil {
		t.Fatal(err)
	}
	p := (*n1.peers.Load())[2]
	p.forgetIfUnused()
	p.forgetIfUnused()
	if (*n1.peers.Load())[2] != p {
		t.Fatal("a connected peer was forgotten")
	}
	n2.stop()
	wiretest.Eventually(t, "the link is gone", func() bool { return links(n1.Transport, 2) == 0 })
	p.forgetIfUnused()
	if (*n1.peers.Load())[2] != nil {
		t.Fatal("an unused peer was not forgotten")
	}
	if _, gone := p.send(nil); !gone {
		t.Error("a forgotten peer still takes frames")
	}
	start(t, &b, 2, &testHandler{}, incarnation(2))
	if _, err := n1.call(within(t, 30*time.Second), 2, 1, nil); err != nil {
		t.Errorf("a forgotten peer cannot be reached: %v", err)
	}
}

func TestThreeNodesAllTalkToAll(t *testing.T) {
	t.Parallel()
	var b book
	var nodes []*node
	for id := range 3 {
		nodes = append(nodes, start(t, &b, kv.NodeID(id+1), &testHandler{}))
	}
	var callers sync.WaitGroup
	for _, from := range nodes {
		for _, to := range nodes {
			if from == to {
				continue
			}
			callers.Go(func() {
				for i := range 200 {
					want := fmt.Sprint(from.id, to.id, i)
					if got, err := from.call(within(t, 10*time.Second), to.id, 1, []byte(want)); err != nil ||
						string(got) != want {
						t.Errorf("got %q, %v; want %q", got, err, want)
						return
					}
				}
			})
		}
	}
	callers.Wait()
}

// agreed is what comes of a handshake with another member.
func agreed(peer kv.NodeID) agreement {
	return agreement{Remote: Remote{Node: peer, Cluster: testCluster, Incarnation: 1}, told: testCluster}
}
