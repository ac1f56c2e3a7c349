package peer

import (
	"sync/atomic"
	"testing"
	"time"

	"pxkv/node/kv"
	"pxkv/transport/wiretest"
)

// What peers have asked, and the answers that they do not take, count in the node's budget. Beyond it
// large requests are refused and large answers to what can be asked again give way; small ones never do, however
// much the node's clients hold. When the link breaks, nothing of it is counted any more.
func TestRequestsAndAnswersCountInTheBudget(t *testing.T) {
	t.Parallel()
	const look = 2
	budget := kv.NewBudget(64 << 10) // of which small is 1 KiB
	share := int(budget.Limit() / 8 * int64(kv.OfPeers))
	var b book
	var handled atomic.Int64
	hold := make(chan func(), 100)
	n := start(t, &b, 1, &testHandler{request: func(_ Remote, kind uint8, _ time.Time, payload []byte,
		reply func([]byte, error)) {
		handled.Add(1)
		size := 100
		if kind == look {
			size = 20 << 10
		}
		hold <- func() { reply(make([]byte, size), nil) }
	}}, func(o *Options) { o.Budget, o.Repeatable = budget, func(kind uint8) bool { return kind == look } })
	n2 := start(t, &b, 2, &testHandler{})

	// Requests are counted until they are answered.
	first := ask(t, n2.Transport, 1, time.Time{}, make([]byte, 40<<10))
	answer := <-hold
	if held := budget.Held(); held != 40<<10 {
		t.Errorf("%d bytes are counted while a request is carried out", held)
	}
	wantErr(t, get(t, ask(t, n2.Transport, 1, time.Time{}, make([]byte, 20<<10))).err, errRefusedHere)
	answer()
	if r := get(t, first); r.err != nil || len(r.payload) != 100 {
		t.Errorf("%d bytes, %v", len(r.payload), r.err)
	}
	wiretest.Eventually(t, "everything is answered", func() bool { return budget.Held() == 0 })

	// Clients hold all that there is.
	budget.Force(2 * int(budget.Limit()))
	small := ask(t, n2.Transport, 1, time.Time{}, make([]byte, 100))
	(<-hold)()
	if r := get(t, small); r.err != nil {
		t.Errorf("a small request while clients hold everything: %v", r.err)
	}
	budget.Give(2 * int(budget.Limit()))

	// Answers that a peer does not read.
	conn := dialPipe(t, n, 3) // which buffers nothing
	for i := range 6 {
		if _, err := conn.Write(message(item{typ: typeRequest, id: uint64(i), code: look, millis: 5000})); err != nil {
			t.Fatal(err)
		}
	}
	for range 6 {
		(<-hold)()
		if held := budget.Held(); held > int64(share) {
			t.Errorf("%d bytes are counted, the share is %d", held, share)
		}
	}
	if held := budget.Held(); held < 40<<10 {
		t.Errorf("%d bytes are counted of answers that wait", held)
	}
	conn.Close()
	wiretest.Eventually(t, "the link is gone", func() bool { return budget.Held() == 0 })
}
