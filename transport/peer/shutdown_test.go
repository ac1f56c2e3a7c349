package peer

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pxkv/node/kv"
	"pxkv/transport/wiretest"
)

// Requests run all the time while a node stops and starts again. None may be lost: each is
// answered, or was certainly not processed.
func TestStopLosesNoRequestInFlight(t *testing.T) {
	t.Parallel()
	var b book
	var answers sync.WaitGroup
	defer answers.Wait()
	later := &testHandler{request: func(_ Remote, _ uint8, _ time.Time, p []byte, reply func([]byte, error)) {
		answers.Go(func() {
			time.Sleep(2 * time.Millisecond) // the disk
			reply(p, nil)
		})
	}}
	n1, n2 := start(t, &b, 1, &testHandler{}), start(t, &b, 2, later)
	addr := n2.Addr()
	var done, refused atomic.Int64
	var stopping atomic.Bool
	var callers sync.WaitGroup
	for range 32 {
		callers.Go(func() {
			for !stopping.Load() {
				_, err := n1.call(within(t, 10*time.Second), 2, 1, []byte("x"))
				switch {
				case err == nil:
					done.Add(1)
				case errors.Is(err, ErrNotSent):
					refused.Add(1)
					time.Sleep(time.Millisecond) // as a caller that tries elsewhere
				default:
					t.Errorf("a request was lost: %v", err)
				}
			}
		})
	}
	for round := range uint64(5) {
		before := done.Load()
		wiretest.Eventually(t, "requests are answered", func() bool { return done.Load() > before+200 })
		n2.stop()
		n2 = start(t, &b, 2, later, incarnation(round+2), func(o *Options) { o.Listen = addr })
	}
	stopping.Store(true)
	callers.Wait()
	t.Logf("%d answered, %d refused", done.Load(), refused.Load())
}

func TestStopAnswersOwnCallsThatAreInFlight(t *testing.T) {
	t.Parallel()
	var b book
	arrived, release := make(chan struct{}, 1), make(chan struct{})
	n1 := start(t, &b, 1, &testHandler{})
	start(t, &b, 2, &testHandler{request: func(_ Remote, _ uint8, _ time.Time, p []byte, reply func([]byte, error)) {
		arrived <- struct{}{}
		go func() { <-release; reply(p, nil) }()
	}})
	ch := ask(t, n1.Transport, 2, time.Time{}, []byte("x"))
	<-arrived
	go func() {
		wiretest.Eventually(t, "the stop begins", n1.stopping.Load)
		close(release)
	}()
	n1.stop()
	if r := get(t, ch); r.err != nil || string(r.payload) != "x" {
		t.Errorf("got %q, %v", r.payload, r.err)
	}
}

func TestStopDoesNotWaitForAnswersForEver(t *testing.T) {
	t.Parallel()
	var b book
	arrived := make(chan struct{}, 1)
	n1 := start(t, &b, 1, &testHandler{})
	start(t, &b, 2, &testHandler{request: func(Remote, uint8, time.Time, []byte, func([]byte, error)) {
		arrived <- struct{}{}
	}})
	ch := ask(t, n1.Transport, 2, time.Time{}, nil)
	<-arrived
	begin := time.Now()
	n1.stop()
	if took := time.Since(begin); took < drainTime || took > drainTime+20*time.Second {
		t.Errorf("the stop took %v", took)
	}
	wantErr(t, get(t, ch).err, ErrLost)
}

func TestStopEndsSnapshotsInBothDirections(t *testing.T) {
	t.Parallel()
	var b book
	n1 := start(t, &b, 1, &testHandler{})
	begun, ended := make(chan struct{}), make(chan error, 1)
	n2 := start(t, &b, 2, &testHandler{snapshot: func(ctx context.Context, _ Remote, _ []byte, r io.Reader) error {
		close(begun)
		<-ctx.Done()
		ended <- context.Cause(ctx)
		return context.Cause(ctx)
	}})
	sent := make(chan error, 1)
	go func() {
		sent <- n1.SendSnapshot(context.Background(), 2, nil, func(w io.Writer) error {
			for {
				if _, err := w.Write(make([]byte, maxChunk)); err != nil {
					return err
				}
			}
		})
	}()
	<-begun
	n2.stop()
	if <-ended == nil {
		t.Error("the receiver's context has no cause")
	}
	if err := <-sent; err == nil {
		t.Error("the sender was told that all is well")
	}
}

// Everybody sends everything while all nodes stop. Every request ends exactly once, and
// nothing stays behind.
func TestStopUnderLoadEndsEveryRequestOnce(t *testing.T) {
	var b book
	registry := prometheus.NewRegistry()
	metrics := func(o *Options) { o.Metrics = registry }
	nodes := []*node{
		start(t, &b, 1, &testHandler{}, metrics), start(t, &b, 2, &testHandler{}), start(t, &b, 3, &testHandler{}),
	}
	var answered atomic.Int64
	var senders sync.WaitGroup
	stopping := make(chan struct{})
	for _, from := range nodes {
		for _, to := range nodes {
			if from != to {
				senders.Go(func() { sendUntil(t, stopping, from.Transport, to.id, &answered) })
			}
		}
	}
	wiretest.Eventually(t, "requests flow", func() bool { return answered.Load() > 10_000 })
	if families, err := registry.Gather(); err != nil || len(families) == 0 {
		t.Errorf("%d families of metrics, %v", len(families), err)
	}
	var stops sync.WaitGroup
	for _, n := range nodes {
		stops.Go(n.stop)
	}
	stops.Wait()
	close(stopping)
	senders.Wait()
	if families, _ := registry.Gather(); len(families) != 0 {
		t.Error("the metrics outlive the transport")
	}
}

// sendUntil keeps 100 requests in flight until stop is closed, and then waits until all have
// ended.
func sendUntil(t *testing.T, stop <-chan struct{}, from *Transport, to kv.NodeID, answered *atomic.Int64) {
	room := make(chan struct{}, 100)
	var open sync.WaitGroup
	defer open.Wait()
	for {
		select {
		case <-stop:
			return
		case room <- struct{}{}:
		}
		from.Send(to, make([]byte, 100))
		open.Add(1)
		var once atomic.Bool
		from.Go(to, 1, time.Now().Add(5*time.Second), make([]byte, 100), func(_ []byte, err error) {
			if once.Swap(true) {
				t.Error("a request ended twice")
			}
			if err == nil {
				answered.Add(1)
			}
			<-room
			open.Done()
		})
	}
}
