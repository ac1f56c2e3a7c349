package peer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pxkv/node/kv"
	"pxkv/transport/wiretest"
)

// randomBytes returns n bytes that are the same in every run.
func randomBytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}

func writeAll(b []byte) func(io.Writer) error {
	return func(w io.Writer) error {
		for len(b) > 0 { // in odd pieces
			n := min(len(b), 10_007)
			if _, err := w.Write(b[:n]); err != nil {
				return err
			}
			b = b[n:]
		}
		return nil
	}
}

func TestSnapshotsOfEverySize(t *testing.T) {
	t.Parallel()
	type snapshot struct{ header, body []byte }
	received := make(chan snapshot, 1)
	var b book
	h := &testHandler{snapshot: func(_ context.Context, from Remote, header []byte, r io.Reader) error {
		body, err := io.ReadAll(r)
		received <- snapshot{bytes.Clone(header), body}
		return err
	}}
	send := func(from *node, to kv.NodeID, size int) {
		t.Helper()
		body, header := randomBytes(size), []byte(fmt.Sprint("size ", size))
		if err := from.SendSnapshot(within(t, 10*time.Second), to, header, writeAll(body)); err != nil {
			t.Fatalf("%d bytes: %v", size, err)
		}
		if got := <-received; !bytes.Equal(got.body, body) || !bytes.Equal(got.header, header) {
			t.Errorf("%d bytes arrived changed, header %q", size, got.header)
		}
	}
	n1 := start(t, &b, 1, &testHandler{})
	start(t, &b, 2, h)
	for _, size := range []int{0, 1, maxChunk - 1, maxChunk, maxChunk + 1, 5<<20 + 7} {
		send(n1, 2, size)
	}
	tiny := func(o *Options) { o.SnapshotChunk, o.SnapshotAhead = 7, 1 }
	n3 := start(t, &b, 3, &testHandler{}, tiny)
	start(t, &b, 4, h, tiny)
	for _, size := range []int{0, 6, 7, 8, 5000} {
		send(n3, 4, size)
	}
}

func TestVerdictTravelsBack(t *testing.T) {
	t.Parallel()
	var b book
	n1 := start(t, &b, 1, &testHandler{})
	start(t, &b, 2, &testHandler{snapshot: func(_ context.Context, _ Remote, header []byte, r io.Reader) error {
		switch string(header) {
		case "early":
			return errors.New("no such replica")
		case "careless":
			return nil
		}
		_, err := io.Copy(io.Discard, r)
		return errors.Join(err, errors.New("disk full"))
	}})
	send := func(header string) string {
		err := n1.SendSnapshot(within(t, 10*time.Second), 2, []byte(header), writeAll(randomBytes(20<<20)))
		remote, ok := errors.AsType[*RemoteError](err)
		if !ok {
			t.Fatalf("%s: the error is %v", header, err)
		}
		return remote.Text
	}
	if got := send("late"); got != "disk full" {
		t.Errorf("verdict %q", got)
	}
	if got := send("early"); got != "no such replica" {
		t.Errorf("verdict %q", got)
	}
	if got := send("careless"); !strings.Contains(got, "without reading it to its end") {
		t.Errorf("verdict %q", got)
	}
}

// Buffers are used again, by the next snapshot and not by two at once: each arrives as it was sent, beside others
// that end early.
func TestBuffersOfSnapshotsAreNotShared(t *testing.T) {
	t.Parallel()
	var b book
	h := &testHandler{snapshot: func(_ context.Context, _ Remote, header []byte, r io.Reader) error {
		var size int
		if _, err := fmt.Sscan(string(header), &size); err != nil {
			return err
		}
		body := make([]byte, size)
		if _, err := io.ReadFull(r, body[:size/2]); err != nil || size%2 == 1 {
			return errors.Join(err, errors.New("half of it is enough"))
		}
		if _, err := io.ReadFull(r, body[size/2:]); err != nil {
			return err
		}
		if want := bytes.Repeat([]byte{byte(size >> 1)}, size); !bytes.Equal(body, want) {
			return errors.New("it arrived changed")
		}
		return discard(r)
	}}
	n1 := start(t, &b, 1, &testHandler{})
	start(t, &b, 2, h)
	var sending sync.WaitGroup
	for i := range 6 {
		sending.Go(func() {
			for round := range 6 {
				size := 2*(3*maxChunk+17*i+round) + i%3/2
				content := bytes.Repeat([]byte{byte(size >> 1)}, size)
				err := n1.SendSnapshot(within(t, 20*time.Second), 2, fmt.Append(nil, size), writeAll(content))
				if (err != nil) != (size%2 == 1) || err != nil && strings.Contains(err.Error(), "changed") {
					t.Errorf("%d bytes: %v", size, err)
				}
			}
		})
	}
	sending.Wait()
}

func discard(r io.Reader) error {
	_, err := io.Copy(io.Discard, r)
	return err
}

func TestSenderThatCannotProduceItsSnapshot(t *testing.T) {
	t.Parallel()
	var b book
	heard := make(chan error, 1)
	n1 := start(t, &b, 1, &testHandler{})
	start(t, &b, 2, &testHandler{snapshot: func(_ context.Context, _ Remote, _ []byte, r io.Reader) error {
		_, err := io.Copy(io.Discard, r)
		heard <- err
		return err
	}})
	broken := errors.New("cannot read the disk")
	err := n1.SendSnapshot(within(t, 10*time.Second), 2, nil, func(w io.Writer) error {
		_, err := w.Write(make([]byte, 2*maxChunk))
		return errors.Join(err, broken)
	})
	wantErr(t, err, broken)
	if err := <-heard; err == nil || !strings.Contains(err.Error(), broken.Error()) {
		t.Errorf("the receiver learned %v", err)
	}
}

// proxy forwards connections to addr; change may alter what goes there, given how many bytes
// went before on that connection, or end the connection by returning false.
func proxy(t *testing.T, addr string, change func(offset int, b []byte) bool) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var tasks sync.WaitGroup
	tasks.Go(func() {
		for {
			in, err := ln.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", addr)
			if err != nil {
				in.Close()
				continue
			}
			tasks.Go(func() {
				defer in.Close()
				_, _ = io.Copy(in, out)
			})
			tasks.Go(func() {
				defer out.Close()
				buf, offset := make([]byte, 32<<10), 0
				for {
					n, err := in.Read(buf)
					if err != nil || !change(offset, buf[:n]) {
						return
					}
					offset += n
					if _, err := out.Write(buf[:n]); err != nil {
						return
					}
				}
			})
		}
	})
	t.Cleanup(func() {
		ln.Close()
		tasks.Wait()
	})
	return ln.Addr().String()
}

func TestSnapshotThatIsDamagedOrCutOnItsWay(t *testing.T) {
	t.Parallel()
	const middle = 3 << 20
	for name, change := range map[string]func(int, []byte) bool{
		"a flipped bit": func(offset int, b []byte) bool {
			if offset <= middle && middle < offset+len(b) {
				b[middle-offset] ^= 0x10
			}
			return true
		},
		"a cut": func(offset int, b []byte) bool { return offset < middle },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var b book
			n1 := start(t, &b, 1, &testHandler{})
			heard := make(chan error, 1)
			n2 := start(t, &b, 2, &testHandler{snapshot: func(_ context.Context, _ Remote, _ []byte,
				r io.Reader) error {
				_, err := io.Copy(io.Discard, r)
				heard <- err
				return err
			}})
			b.set(2, proxy(t, n2.Addr(), change))
			if err := n1.SendSnapshot(within(t, 10*time.Second), 2, nil, writeAll(randomBytes(2*middle))); err == nil {
				t.Error("the sender was told that all is well")
			}
			if err := <-heard; err == nil {
				t.Error("the receiver took it for complete")
			}
		})
	}
}

// A stream whose messages are all in order, but of which one is missing.
func TestSnapshotWithAMissingChunk(t *testing.T) {
	t.Parallel()
	var b book
	n := start(t, &b, 1, &testHandler{})
	conn := dialRaw(t, n, 2, purposeSnapshot)
	end := bytes.Repeat([]byte{7}, endSize)
	for _, it := range []item{{typ: typeSnapshotHeader}, {typ: typeSnapshotChunk, payload: []byte("part")},
		{typ: typeSnapshotEnd, payload: end}} {
		if _, err := conn.Write(message(it)); err != nil {
			t.Fatal(err)
		}
	}
	var verdict []byte
	readMessages(conn, func(typ uint8, body []byte) {
		if typ == typeVerdict {
			verdict = body
			conn.Close()
		}
	})
	if len(verdict) == 0 || verdict[0] != statusError || !strings.Contains(string(verdict), errCorrupt.Error()) {
		t.Errorf("the verdict is %q", verdict)
	}
}

func TestSenderThatIgnoresTheReceiversPace(t *testing.T) {
	t.Parallel()
	var b book
	heard := make(chan error, 1)
	n := start(t, &b, 1, &testHandler{snapshot: func(ctx context.Context, _ Remote, _ []byte, r io.Reader) error {
		<-ctx.Done() // it is told without reading
		_, err := io.Copy(io.Discard, r)
		heard <- err
		return err
	}})
	conn := dialRaw(t, n, 2, purposeSnapshot)
	stream := message(item{typ: typeSnapshotHeader})
	for range defaultSnapshotAhead + 1 {
		stream = append(stream, message(item{typ: typeSnapshotChunk, payload: []byte("x")})...)
	}
	if _, err := conn.Write(stream); err != nil {
		t.Fatal(err)
	}
	wantErr(t, <-heard, errCorrupt)
}

// A receiver that is slower than any time limit of a silent connection is not given up, and the
// sender does not buffer for it.
func TestSlowReceiver(t *testing.T) {
	t.Parallel()
	const dead = 150 * time.Millisecond
	quick := func(o *Options) { o.DeadAfter = dead }
	var b book
	var produced atomic.Int64
	size := int64(64 << 20)
	n1 := start(t, &b, 1, &testHandler{}, quick)
	start(t, &b, 2, &testHandler{snapshot: func(_ context.Context, _ Remote, _ []byte, r io.Reader) error {
		pause := time.NewTimer(2 * snapshotPatience * dead)
		<-pause.C
		if got := produced.Load(); got > (defaultSnapshotAhead+2)*maxChunk {
			return fmt.Errorf("%d bytes were produced for a receiver that reads none", got)
		}
		if _, err := io.Copy(io.Discard, r); err != nil {
			return err
		}
		pause.Reset(2 * snapshotPatience * dead)
		<-pause.C // as long again for the disk, after everything was read
		return nil
	}}, quick)
	err := n1.SendSnapshot(within(t, 20*time.Second), 2, nil, func(w io.Writer) error {
		chunk := make([]byte, 1<<20)
		for range size >> 20 {
			if _, err := w.Write(chunk); err != nil {
				return err
			}
			produced.Add(1 << 20)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestSlowSenderIsNotGivenUp(t *testing.T) {
	t.Parallel()
	const dead = 150 * time.Millisecond
	quick := func(o *Options) { o.DeadAfter = dead }
	var b book
	n1 := start(t, &b, 1, &testHandler{}, quick)
	start(t, &b, 2, &testHandler{}, quick)
	err := n1.SendSnapshot(within(t, 20*time.Second), 2, nil, func(w io.Writer) error {
		pause := time.NewTimer(2 * snapshotPatience * dead)
		<-pause.C
		_, err := w.Write([]byte("at last"))
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestSilentReceiverIsGivenUp(t *testing.T) {
	t.Parallel()
	var b book
	release := make(chan struct{})
	acceptRaw(t, &b, 2, func(net.Conn) { <-release })
	t.Cleanup(func() { close(release) })
	n1 := start(t, &b, 1, &testHandler{}, func(o *Options) { o.DeadAfter = 30 * time.Millisecond })
	err := n1.SendSnapshot(within(t, 20*time.Second), 2, nil, writeAll(randomBytes(64<<20)))
	wantErr(t, err, ErrLost)
}

func TestSnapshotsAtOnceAreLimited(t *testing.T) {
	t.Parallel()
	var b book
	begun, release := make(chan struct{}, 10), make(chan struct{})
	n1 := start(t, &b, 1, &testHandler{})
	start(t, &b, 2, &testHandler{snapshot: func(_ context.Context, _ Remote, _ []byte, r io.Reader) error {
		begun <- struct{}{}
		<-release
		_, err := io.Copy(io.Discard, r)
		return err
	}}, func(o *Options) { o.MaxSnapshotsIn = 2 })
	var senders sync.WaitGroup
	send := func() error { return n1.SendSnapshot(within(t, 10*time.Second), 2, nil, writeAll(randomBytes(5<<20))) }
	for range 2 {
		senders.Go(func() {
			if err := send(); err != nil {
				t.Error(err)
			}
		})
		<-begun
	}
	wantErr(t, send(), kv.Busy)
	close(release)
	senders.Wait()
	if err := send(); err != nil {
		t.Errorf("a snapshot after the others: %v", err)
	}
}

// The sender learns which of its reasons the receiver had, and what it said.
func TestRefusalsOfSnapshotsKeepTheirMeaning(t *testing.T) {
	t.Parallel()
	var b book
	n1 := start(t, &b, 1, &testHandler{})
	why := make(chan error, 1)
	start(t, &b, 2, &testHandler{snapshot: func(_ context.Context, _ Remote, header []byte, r io.Reader) error {
		if string(header) == "late" {
			_, _ = io.CopyN(io.Discard, r, 3<<20)
		}
		return <-why
	}})
	for _, header := range []string{"early", "late"} {
		for _, want := range []kv.Refusal{kv.NoRoom, kv.Busy, kv.NotWanted} {
			why <- fmt.Errorf("stage it: %w", want)
			err := n1.SendSnapshot(within(t, 10*time.Second), 2, []byte(header), writeAll(randomBytes(20<<20)))
			if got, _ := errors.AsType[kv.Refusal](err); got != want || !strings.Contains(err.Error(), "stage it") {
				t.Errorf("%s: the sender hears %v, want %v", header, err, want)
			}
		}
		why <- errors.New("the disk broke")
		err := n1.SendSnapshot(within(t, 10*time.Second), 2, []byte(header), writeAll(randomBytes(20<<20)))
		if got, ok := errors.AsType[kv.Refusal](err); ok || err == nil {
			t.Errorf("%s: an error that is no refusal arrives as %v: %v", header, got, err)
		}
	}
}

// Pings and single bytes keep a connection alive. They do not keep a place for long, whether the
// header came or not.
func TestASenderThatTricklesIsGivenUp(t *testing.T) {
	t.Parallel()
	for name, first := range map[string][]byte{
		"with a header": message(item{typ: typeSnapshotHeader}), "without a header": nil,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var b book
			heard := make(chan error, 1)
			n := start(t, &b, 1, &testHandler{snapshot: func(_ context.Context, _ Remote, _ []byte, r io.Reader) error {
				_, err := io.Copy(io.Discard, r)
				heard <- err
				return err
			}}, func(o *Options) { o.MaxSnapshotsIn, o.SnapshotWindow, o.SnapshotLeast = 1, 60*time.Millisecond, 1000 })
			conn := dialRaw(t, n, 2, purposeSnapshot)
			if _, err := conn.Write(first); err != nil {
				t.Fatal(err)
			}
			quit, ended := make(chan struct{}), make(chan struct{})
			go func() {
				defer close(ended)
				for {
					trickle := message(item{typ: typePing, payload: make([]byte, pingSize)})
					if first != nil {
						trickle = append(trickle, message(item{typ: typeSnapshotChunk, payload: []byte("x")})...)
					}
					if _, err := conn.Write(trickle); err != nil {
						return
					}
					select {
					case <-quit:
						return
					case <-time.After(5 * time.Millisecond):
					}
				}
			}()
			defer func() { close(quit); <-ended }()
			wantClosed(t, conn)
			wiretest.Eventually(t, "its place is free", func() bool { return len(n.snapshotsIn) == 0 })
			if first != nil {
				wantErr(t, <-heard, errSlow)
			}
		})
	}
}

func TestOutgoingSnapshotsWaitForTheirTurn(t *testing.T) {
	t.Parallel()
	var b book
	n1 := start(t, &b, 1, &testHandler{}, func(o *Options) { o.MaxSnapshotsOut = 1 })
	start(t, &b, 2, &testHandler{})
	err := n1.SendSnapshot(within(t, 10*time.Second), 2, nil, func(w io.Writer) error {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		err := n1.SendSnapshot(ctx, 2, nil, writeAll(nil))
		wantErr(t, err, ErrNotSent)
		wantErr(t, err, context.DeadlineExceeded)
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestEndOfTheSendersContext(t *testing.T) {
	t.Parallel()
	var b book
	heard := make(chan error, 1)
	n1 := start(t, &b, 1, &testHandler{})
	start(t, &b, 2, &testHandler{snapshot: func(_ context.Context, _ Remote, _ []byte, r io.Reader) error {
		_, err := io.Copy(io.Discard, r)
		heard <- err
		return err
	}})
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("the replica moved elsewhere")
	err := n1.SendSnapshot(ctx, 2, nil, func(w io.Writer) error {
		cancel(cause)
		for {
			if _, err := w.Write(make([]byte, maxChunk)); err != nil {
				return err
			}
		}
	})
	wantErr(t, err, cause)
	if err := <-heard; err == nil {
		t.Error("the receiver took half a snapshot for a whole one")
	}
}
