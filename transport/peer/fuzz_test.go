package peer

import (
	"bytes"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"testing"
	"time"

	"pxkv/transport/wiretest"
)

// FuzzHandshake gives a transport arbitrary bytes instead of a handshake: the connection is
// closed as soon as they end, whatever they are.
func FuzzHandshake(f *testing.F) {
	var good bytes.Buffer
	s := stranger(f, 2)
	_ = writeShake(&good, s.hello(purposeLink, 1).encode())
	f.Add(good.Bytes())
	_ = writeShake(&good, []byte{shakeAccept})
	f.Add(good.Bytes())
	f.Add(append(good.Bytes(), message(item{typ: typePing, id: 1})...))
	f.Add([]byte("GET / HTTP/1.1\r\n"))
	var b book
	n := start(f, &b, 1, &testHandler{})
	f.Fuzz(func(t *testing.T, stream []byte) { feed(t, n, stream, nil) })
}

// FuzzHello decodes arbitrary bodies of a hello; what is accepted survives another round.
func FuzzHello(f *testing.F) {
	f.Add(stranger(f, 2).hello(purposeLink, 1).encode()[1:])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, body []byte) {
		h, err := decodeHello(body)
		if err != nil {
			return
		}
		if again, err := decodeHello(h.encode()[1:]); err != nil || again != h {
			t.Errorf("%+v became %+v, %v", h, again, err)
		}
	})
}

// FuzzLink gives a link arbitrary bytes behind a good handshake. Where fix is set, the
// lengths and checksums of the stream are made right, so that the fuzzer gets behind them.
// limits of 0 are the defaults; others are tiny.
func FuzzLink(f *testing.F) {
	for limits := range uint8(fuzzLimits) {
		f.Add(message(item{typ: typeRequest, id: 1, code: 2, millis: 3, payload: []byte("hello")}), false, limits)
		f.Add(message(item{typ: typeResponse, id: 1, payload: []byte("hello")}), false, limits)
		f.Add(append(message(item{typ: typePing, id: 1}), message(item{typ: typeBye})...), false, limits)
		f.Add([]byte{4, typeBye, 0, 0, 0, 9, typePong, 1, 2, 3, 4, 5, 6, 7, 8}, true, limits)
		f.Add(bytes.Repeat([]byte{0xff}, 64), false, limits)
		f.Add(bytes.Repeat(message(item{
			typ: typeRequest, id: 1, code: 2, millis: 3, payload: bytes.Repeat([]byte{'x'}, 300),
		}), 10), false, limits)
	}
	nodes := fuzzNodes(f)
	f.Fuzz(func(t *testing.T, stream []byte, fix bool, limits uint8) {
		if fix {
			stream = frameUp(stream)
		}
		feed(t, nodes[limits%fuzzLimits], stream, stranger(t, 2).hello(purposeLink, 1).encode())
	})
}

// FuzzSnapshot is FuzzLink for connections that carry a snapshot.
func FuzzSnapshot(f *testing.F) {
	for limits := range uint8(fuzzLimits) {
		f.Add([]byte{1, typeSnapshotHeader, 5, typeSnapshotChunk, 1, 2, 3, 4, 17, typeSnapshotEnd}, true, limits)
		f.Add(message(item{typ: typeSnapshotHeader, payload: []byte("h")}), false, limits)
	}
	nodes := fuzzNodes(f)
	f.Fuzz(func(t *testing.T, stream []byte, fix bool, limits uint8) {
		if fix {
			stream = frameUp(stream)
		}
		feed(t, nodes[limits%fuzzLimits], stream, stranger(t, 2).hello(purposeSnapshot, 1).encode())
	})
}

// fuzzLimits is how many sets of limits a fuzzer chooses from.
const fuzzLimits = 5

// fuzzNodes starts a node of each set of limits, the first one with the defaults.
func fuzzNodes(f *testing.F) (nodes []*node) {
	for i := range uint64(fuzzLimits) {
		var b book
		nodes = append(nodes, start(f, &b, 1, &testHandler{}, func(o *Options) {
			if i > 0 {
				r := rand.New(rand.NewPCG(i, 5))
				tinyOptions(r)(o)
				o.Budget = tinyBudget(r)
				o.SnapshotChunk, o.SnapshotAhead, o.MaxSnapshotsIn = 1+r.IntN(100), 1+r.IntN(3), 1+r.IntN(2)
			}
		}))
	}
	return nodes
}

// frameUp cuts b into messages with correct checksums: a length byte, then as many bytes of
// type and body.
func frameUp(b []byte) []byte {
	var out []byte
	for len(b) > 1 {
		n := max(1, min(int(b[0]), len(b)-1))
		out = append(out, withSum(b[1], b[2:n+1])...)
		b = b[n+1:]
	}
	return out
}

// feed sends stream to n, behind the handshake that begins with hello unless that is nil, then
// closes, and fails when n does not let go of the connection, or holds anything for it.
func feed(t *testing.T, n *node, stream, hello []byte) {
	ours, theirs := net.Pipe()
	n.spawn(func() { n.serve(theirs) })
	if hello != nil {
		if err := writeShake(ours, hello); err != nil {
			t.Fatal(err)
		}
		if _, err := readHello(ours); err != nil {
			t.Fatal(err)
		}
		if err := writeShake(ours, []byte{shakeAccept}); err != nil {
			t.Fatal(err)
		}
	}
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		_, _ = io.Copy(io.Discard, ours)
	}()
	_ = ours.SetWriteDeadline(time.Now().Add(5 * time.Second))
	_, _ = ours.Write(stream) // fails when n has closed the connection in the middle
	ours.Close()
	<-drained
	wiretest.Eventually(t, "the connection is let go, and nothing is held for it", func() bool {
		n.mu.Lock()
		defer n.mu.Unlock()
		return len(n.conns) == 0 && n.opt.Budget.Held() == 0
	})
}

// A peer that claims a long message and sends little of it costs little.
func TestMemoryFollowsWhatArrivesNotWhatIsClaimed(t *testing.T) {
	const claimed, sent = 1 << 30, 1000
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range 10 {
		if _, err := readRest(bytes.NewReader(make([]byte, sent)), nil, claimed, 0); err == nil {
			t.Fatal("a message of which most is missing was read")
		}
	}
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > 10*2*firstAllocation {
		t.Errorf("%d bytes were allocated for ten times %d received", got, sent)
	}
}

func TestReadRestIsExact(t *testing.T) {
	t.Parallel()
	all := randomBytes(3 << 20)
	for _, have := range []int{0, 1, 1000, firstAllocation, len(all)} {
		r := bytes.NewReader(append(bytes.Clone(all[have:]), "next message"...))
		got, err := readRest(r, all[:have], len(all), 0)
		if err != nil || !bytes.Equal(got, all) || r.Len() != len("next message") {
			t.Errorf("with %d bytes at hand: %d bytes, %v, %d left", have, len(got), err, r.Len())
		}
	}
}

func TestCallIdsAreNotReusedAtOnce(t *testing.T) {
	t.Parallel()
	var c calls
	done := func([]byte, error) {}
	first := c.add(1, done)
	if _, ok := c.end(first); !ok {
		t.Fatal("a call is not found")
	}
	second := c.add(1, done)
	if first == second || c.get(first) != nil || c.get(second) == nil {
		t.Error("an answer to the first call would reach the second")
	}
	for _, id := range []uint64{0, first, second + 1, 1 << 63, ^uint64(0)} {
		if _, ok := c.end(id); ok {
			t.Errorf("a call with the id %x ended that never began", id)
		}
	}
}

func TestQueueKeepsItsOrder(t *testing.T) {
	t.Parallel()
	var q fifo
	var pushed, popped uint64
	push := func() { q.push(item{id: pushed}); pushed++ }
	for round := range 2000 {
		for range round%7 + 1 {
			push()
		}
		for range min(round%8, q.len()) {
			if it := q.pop(); it.id != popped {
				t.Fatalf("item %d came out where %d was due", it.id, popped)
			}
			popped++
		}
	}
	put := []item{q.pop(), q.pop()}
	q.unpop(put)
	for ; q.len() > 0; popped++ {
		if it := q.pop(); it.id != popped {
			t.Fatalf("item %d came out where %d was due", it.id, popped)
		}
	}
	if popped != pushed {
		t.Errorf("%d of %d items came out", popped, pushed)
	}
}

func TestMessageBytes(t *testing.T) {
	t.Parallel()
	it := item{typ: typeRequest, id: 0x0102030405060708, code: 9, millis: 0x0a0b0c0d, payload: []byte("pay")}
	b := message(it)
	want := []byte{
		17, 0, 0, 0, 0, 0, 0, 0, typeRequest, 8, 7, 6, 5, 4, 3, 2, 1, 9, 0x0d, 0x0c, 0x0b, 0x0a, 'p', 'a', 'y',
	}
	copy(want[4:8], b[4:8]) // the checksum, which check verifies
	if !bytes.Equal(b, want) {
		t.Errorf("a request is % x, want % x", b, want)
	}
	p, err := decodePrefix(b, 3)
	if err != nil || p.check(b[prefixSize:]) != nil {
		t.Error("a message does not decode")
	}
	binary.LittleEndian.PutUint32(b, 3+1+maxFixed+1)
	if _, err := decodePrefix(b, 3); err == nil {
		t.Error("a message beyond the limit decodes")
	}
}
