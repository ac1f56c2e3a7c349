package peer

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestRequestsAreAnsweredInBothDirectionsOverOneLink(t *testing.T) {
	t.Parallel()
	var b book
	upper := &testHandler{request: func(_ Remote, _ uint8, _ time.Time, p []byte, reply func([]byte, error)) {
		reply(bytes.ToUpper(p), nil)
	}}
	n1, n2 := start(t, &b, 1, &testHandler{}), start(t, &b, 2, upper)

	got, err := n1.call(within(t, 30*time.Second), 2, 7, []byte("hello"))
	if err != nil || string(got) != "HELLO" {
		t.Fatalf("got %q, %v", got, err)
	}
	got, err = n2.call(within(t, 30*time.Second), 1, 7, []byte("hello"))
	if err != nil || string(got) != "hello" {
		t.Fatalf("got %q, %v", got, err)
	}
	if links(n1.Transport, 2) != 1 || links(n2.Transport, 1) != 1 {
		t.Error("more than one link")
	}
}

func TestHandlerSeesWhoAsksWhatAndUntilWhen(t *testing.T) {
	t.Parallel()
	var b book
	type seen struct {
		from Remote
		kind uint8
		left time.Duration
	}
	saw := make(chan seen, 1)
	n1 := start(t, &b, 1, &testHandler{}, incarnation(77))
	start(t, &b, 2, &testHandler{request: func(from Remote, kind uint8, deadline time.Time, p []byte,
		reply func([]byte, error)) {
		saw <- seen{from, kind, time.Until(deadline)}
		reply(nil, nil)
	}})
	if _, err := n1.call(within(t, 30*time.Second), 2, 200, nil); err != nil {
		t.Fatal(err)
	}
	s := <-saw
	if s.from != (Remote{Node: 1, Cluster: testCluster, Incarnation: 77}) || s.kind != 200 {
		t.Errorf("handler saw %+v", s)
	}
	if s.left > 30*time.Second+10*time.Millisecond || s.left < 3*time.Second {
		t.Errorf("%v were left of 30 s", s.left)
	}
}

func TestTenThousandRequestsOutOfOrder(t *testing.T) {
	t.Parallel()
	const total = 10_000
	var b book
	var mu sync.Mutex
	var held []func()
	n1 := start(t, &b, 1, &testHandler{})
	start(t, &b, 2, &testHandler{request: func(_ Remote, _ uint8, _ time.Time, p []byte, reply func([]byte, error)) {
		mu.Lock()
		defer mu.Unlock()
		held = append(held, func() { reply(p, nil) })
		if len(held) < total {
			return
		}
		rand.Shuffle(total, func(i, j int) { held[i], held[j] = held[j], held[i] })
		all := held
		go func() {
			for _, answer := range all {
				answer()
			}
		}()
	}})
	var wrong atomic.Int64
	var callers sync.WaitGroup
	for i := range total {
		callers.Go(func() {
			want := binary.LittleEndian.AppendUint64(nil, uint64(i))
			got, err := n1.call(within(t, 15*time.Second), 2, 1, want)
			if err != nil || !bytes.Equal(got, want) {
				wrong.Add(1)
			}
		})
	}
	callers.Wait()
	if wrong.Load() != 0 {
		t.Errorf("%d of %d answers were wrong", wrong.Load(), total)
	}
}

func TestPayloadsOfEverySize(t *testing.T) {
	t.Parallel()
	var b book
	small := func(o *Options) { o.MaxPayload = 9 << 20 }
	n1, _ := start(t, &b, 1, &testHandler{}, small), start(t, &b, 2, &testHandler{}, small)
	sizes := []int{0, 1, inlinePayload, inlinePayload + 1, readBuffer - prefixSize - 1 - requestSize,
		readBuffer - prefixSize - requestSize, readBuffer, readBuffer + 1, firstAllocation, 8 << 20, 9 << 20}
	var asked []<-chan result
	var payloads [][]byte
	for i, size := range sizes {
		p := bytes.Repeat([]byte{byte(i + 1)}, size)
		payloads = append(payloads, p)
		asked = append(asked, ask(t, n1.Transport, 2, time.Time{}, p))
	}
	for i, ch := range asked {
		if r := get(t, ch); r.err != nil || !bytes.Equal(r.payload, payloads[i]) {
			t.Errorf("%d bytes came back as %d, %v", sizes[i], len(r.payload), r.err)
		}
	}
	wantErr(t, get(t, ask(t, n1.Transport, 2, time.Time{}, make([]byte, 9<<20+1))).err, ErrNotSent)
}

func TestErrorsKeepTheirMeaningAcrossTheWire(t *testing.T) {
	t.Parallel()
	var b book
	long := strings.Repeat("x", 2*maxErrorText)
	answers := map[string]error{
		"remote": errors.New("disk on fire"), "long": errors.New(long),
		"notsent": fmt.Errorf("not here: %w", ErrNotSent), "lost": fmt.Errorf("who knows: %w", ErrLost),
	}
	n1 := start(t, &b, 1, &testHandler{})
	start(t, &b, 2, &testHandler{request: func(_ Remote, _ uint8, _ time.Time, p []byte, reply func([]byte, error)) {
		reply(nil, answers[string(p)])
	}})
	call := func(name string) error {
		_, err := n1.call(within(t, 30*time.Second), 2, 1, []byte(name))
		return err
	}
	if remote, ok := errors.AsType[*RemoteError](call("remote")); !ok || remote.Text != "disk on fire" {
		t.Errorf("remote error arrived as %v", remote)
	}
	if remote, ok := errors.AsType[*RemoteError](call("long")); !ok || remote.Text != long[:maxErrorText] {
		t.Error("a long error text did not arrive cut")
	}
	wantErr(t, call("notsent"), ErrNotSent)
	wantErr(t, call("lost"), ErrLost)
}

func TestAnswerTooLongToSendIsLostNotDenied(t *testing.T) {
	t.Parallel()
	var b book
	n1 := start(t, &b, 1, &testHandler{})
	start(t, &b, 2, &testHandler{request: func(_ Remote, _ uint8, _ time.Time, _ []byte, reply func([]byte, error)) {
		reply(make([]byte, 1001), nil)
	}}, func(o *Options) { o.MaxPayload = 1000 })
	_, err := n1.call(within(t, 30*time.Second), 2, 1, nil)
	wantErr(t, err, ErrLost)
}

func TestDeadlineAfterSendingIsLost(t *testing.T) {
	t.Parallel()
	var b book
	late := make(chan func(), 1)
	n1 := start(t, &b, 1, &testHandler{})
	start(t, &b, 2, &testHandler{request: func(_ Remote, _ uint8, _ time.Time, p []byte, reply func([]byte, error)) {
		if string(p) == "slow" {
			late <- func() { reply(p, nil) }
			return
		}
		reply(p, nil)
	}})
	if _, err := n1.call(within(t, 30*time.Second), 2, 1, nil); err != nil {
		t.Fatal(err)
	}
	for limit := 50 * time.Millisecond; ; limit *= 2 {
		begin := time.Now()
		r := get(t, ask(t, n1.Transport, 2, begin.Add(limit), []byte("slow")))
		if errors.Is(r.err, ErrNotSent) && limit < 5*time.Second {
			continue // a busy machine did not write it in time
		}
		wantErr(t, r.err, ErrLost)
		if took := time.Since(begin); took < limit || took > limit+20*time.Second {
			t.Errorf("the deadline of %v took %v", limit, took)
		}
		break
	}
	(<-late)() // the late answer must not reach the call that has the slot now
	for i := range 10 {
		want := fmt.Sprint(i)
		if got, err := n1.call(within(t, 30*time.Second), 2, 1, []byte(want)); err != nil || string(got) != want {
			t.Fatalf("got %q, %v", got, err)
		}
	}
}

func TestDeadlinesOfManyCallsEachHold(t *testing.T) {
	t.Parallel()
	var b book
	n1 := start(t, &b, 1, &testHandler{})
	start(t, &b, 2, &testHandler{request: func(Remote, uint8, time.Time, []byte, func([]byte, error)) {}})
	begin := time.Now()
	const most = 100
	var asked []<-chan result
	for _, i := range rand.Perm(most) {
		asked = append(asked, ask(t, n1.Transport, 2, begin.Add(time.Duration(i+1)*2*time.Millisecond), nil))
	}
	for _, ch := range asked {
		if err := get(t, ch).err; !errors.Is(err, ErrLost) && !errors.Is(err, ErrNotSent) {
			t.Fatalf("a call ended with %v", err)
		}
	}
	if took := time.Since(begin); took > 20*time.Second {
		t.Errorf("deadlines within 200 ms took %v", took)
	}
}

func TestWhatCannotBeSent(t *testing.T) {
	t.Parallel()
	var b book
	n1 := start(t, &b, 1, &testHandler{})
	wantErr(t, get(t, ask(t, n1.Transport, 1, time.Time{}, nil)).err, ErrNotSent)                        // to itself
	wantErr(t, get(t, ask(t, n1.Transport, 9, time.Time{}, nil)).err, ErrNotSent)                        // no address
	wantErr(t, get(t, ask(t, n1.Transport, 2, time.Now().Add(-time.Second), nil)).err, ErrNotSent)       // too late
	wantErr(t, get(t, ask(t, stranger(t, 3), 1, time.Time{}, nil)).err, ErrNotSent)                      // does not run
	if n1.Send(1, nil) || n1.Send(2, make([]byte, defaultMaxPayload+1)) || stranger(t, 3).Send(1, nil) { // and frames
		t.Error("a frame that cannot be sent was taken")
	}
	n1.stop()
	wantErr(t, get(t, ask(t, n1.Transport, 2, time.Time{}, nil)).err, ErrNotSent)
}

func TestCallsInFlightAreLimited(t *testing.T) {
	t.Parallel()
	const most = 10
	var b book
	limit := func(o *Options) { o.MaxInFlight = most }
	n1 := start(t, &b, 1, &testHandler{}, limit)
	replies := make(chan func([]byte, error), most)
	start(t, &b, 2, &testHandler{request: func(_ Remote, _ uint8, _ time.Time, _ []byte, reply func([]byte, error)) {
		replies <- reply
	}})
	var asked []<-chan result
	for range most + 1 {
		asked = append(asked, ask(t, n1.Transport, 2, time.Time{}, nil))
	}
	wantErr(t, get(t, asked[most]).err, errTooMany)
	for range most {
		(<-replies)(nil, nil)
	}
	for _, ch := range asked[:most] {
		wantErr(t, get(t, ch).err, nil)
	}
}

func TestReceiverRefusesMoreBytesThanItsLimit(t *testing.T) {
	t.Parallel()
	var b book
	var replies []func([]byte, error) // only touched by the reader goroutine
	n1 := start(t, &b, 1, &testHandler{})
	start(t, &b, 2, &testHandler{request: func(_ Remote, kind uint8, _ time.Time, p []byte, reply func([]byte, error)) {
		if replies = append(replies, reply); len(p) > 0 {
			return
		}
		for _, reply := range replies {
			reply(nil, nil)
		}
		replies = nil
	}}, func(o *Options) { o.QueueBytes = 1000 })
	for range 3 { // what is answered makes room again
		kept, refused := ask(t, n1.Transport, 2, time.Time{}, make([]byte, 900)), ask(t, n1.Transport, 2, time.Time{},
			make([]byte, 200))
		wantErr(t, get(t, refused).err, errRefusedHere)
		fits := ask(t, n1.Transport, 2, time.Time{}, make([]byte, 100))
		for _, ch := range []<-chan result{ask(t, n1.Transport, 2, time.Time{}, nil), kept, fits} {
			if r := get(t, ch); r.err != nil {
				t.Fatal(r.err)
			}
		}
	}
}

func TestReceiverRefusesMoreRequestsThanItsLimit(t *testing.T) {
	t.Parallel()
	var b book
	var handled atomic.Int64
	n1 := start(t, &b, 1, &testHandler{})
	start(t, &b, 2, &testHandler{request: func(Remote, uint8, time.Time, []byte, func([]byte, error)) {
		handled.Add(1)
	}},
		func(o *Options) { o.MaxInFlight = 10 })
	var asked []<-chan result
	for range 15 {
		asked = append(asked, ask(t, n1.Transport, 2, time.Now().Add(500*time.Millisecond), nil))
	}
	for i, ch := range asked {
		if i < 10 {
			wantErr(t, get(t, ch).err, ErrLost)
		} else {
			wantErr(t, get(t, ch).err, errRefusedHere)
		}
	}
	if handled.Load() != 10 {
		t.Errorf("%d requests were handled, want 10", handled.Load())
	}
}

// A peer that does not take its answers finds its further requests refused, certainly not processed.
// What was processed is answered in full once it reads, however much that is.
func TestWhatWasProcessedIsAnswered(t *testing.T) {
	t.Parallel()
	var b book
	var handled atomic.Int64
	n := start(t, &b, 1, &testHandler{request: func(_ Remote, _ uint8, _ time.Time, _ []byte,
		reply func([]byte, error)) {
		handled.Add(1)
		reply(make([]byte, 100), nil)
	}}, func(o *Options) { o.QueueBytes = 1000 })
	conn := dialPipe(t, n, 2) // which buffers nothing
	const requests = 100
	for i := range requests {
		if _, err := conn.Write(message(item{typ: typeRequest, id: uint64(i), code: 1, millis: 5000})); err != nil {
			t.Fatal(err)
		}
	}
	full, refused := 0, 0
	readMessages(conn, func(typ uint8, body []byte) {
		if typ != typeResponse {
			return
		}
		switch status := body[8]; {
		case status == statusOK && len(body) == responseSize+100:
			full++
		case status == statusNotProcessed:
			refused++
		default:
			t.Errorf("status %d, %d bytes", status, len(body))
		}
		if full+refused == requests {
			conn.Close()
		}
	})
	if full+refused != requests || int64(full) != handled.Load() || refused == 0 {
		t.Errorf("%d were handled, %d answered in full, and %d refused of %d", handled.Load(), full, refused, requests)
	}
}

// Answers that are ready together and take more than their room: those to requests that can be made
// again give way.
func TestAnswersToWhatCanBeAskedAgainGiveWay(t *testing.T) {
	t.Parallel()
	const change, look, flush = 1, 2, 3
	var b book
	var replies []func([]byte, error) // only touched by the reader goroutine
	n1 := start(t, &b, 1, &testHandler{})
	start(t, &b, 2, &testHandler{request: func(_ Remote, kind uint8, _ time.Time, _ []byte, reply func([]byte, error)) {
		if replies = append(replies, reply); kind != flush {
			return
		}
		for _, reply := range replies {
			reply(make([]byte, 900), nil)
		}
	}}, func(o *Options) {
		o.QueueBytes, o.Repeatable = 1000, func(kind uint8) bool { return kind == look }
	})
	var changes, looks []chan error
	askKind := func(kind uint8) chan error {
		done := make(chan error, 1)
		n1.Go(2, kind, time.Time{}, nil, func(_ []byte, err error) { done <- err })
		return done
	}
	for range 5 {
		changes, looks = append(changes, askKind(change)), append(looks, askKind(look))
	}
	changes = append(changes, askKind(flush))
	for _, done := range changes {
		if err := <-done; err != nil {
			t.Errorf("a change ended with %v", err)
		}
	}
	for _, done := range looks {
		if err := <-done; err != nil {
			wantErr(t, err, ErrNotSent)
		}
	}
}
