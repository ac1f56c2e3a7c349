package peer

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pxkv/node/kv"
	"pxkv/transport/wiretest"
)

// TestTinyLimitsAnswerEachCallOnce draws limits and budgets tiny and lets two nodes ask each other, within
// them and beyond, while links break. Each call has one answer, which is its own, or one error that
// says whether the request was sent; in the end neither node holds anything.
func TestTinyLimitsAnswerEachCallOnce(t *testing.T) {
	t.Parallel()
	met := map[string]int{}
	for seed := range uint64(20) {
		tinySeed(t, seed, met)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	t.Logf("calls: %v", met)
	for _, how := range []string{"answered", "not sent"} {
		if met[how] == 0 {
			t.Errorf("no call was %q: the limits are not met", how)
		}
	}
}

func tinyBudget(r *rand.Rand) *kv.Budget { return kv.NewBudget(int64(4<<10 + r.IntN(60<<10))) }

// tinyOptions draws limits.
func tinyOptions(r *rand.Rand) func(*Options) {
	return func(o *Options) {
		o.MaxPayload, o.MaxInFlight = 2<<10+r.IntN(30<<10), 1+r.IntN(40)
		o.QueueBytes = o.MaxPayload + r.IntN(40<<10)
	}
}

// tinySeed counts how calls ended in met.
func tinySeed(t *testing.T, seed uint64, met map[string]int) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 3))
	var b book
	var nodes []*node
	var budgets []*kv.Budget
	for id := range kv.NodeID(2) {
		budget := tinyBudget(r)
		budgets = append(budgets, budget)
		nodes = append(nodes, start(t, &b, id+1, &testHandler{}, func(o *Options) {
			tinyOptions(r)(o)
			o.Budget = budget
			o.Repeatable = func(uint8) bool { return seed%2 == 0 }
		}))
	}
	var mu sync.Mutex
	var callers sync.WaitGroup
	var answered atomic.Int32 // callers that have all their answers
	for i := range 4 {
		r := rand.New(rand.NewPCG(seed, uint64(10+i)))
		from, to := nodes[i%2], kv.NodeID(2-i%2)
		callers.Go(func() {
			var asked []<-chan result
			var payloads [][]byte
			for range 30 {
				p := bytes.Repeat([]byte{byte(r.Uint32())}, r.IntN([]int{100, 2000, 40_000}[r.IntN(3)]))
				asked, payloads = append(asked, ask(t, from.Transport, to, time.Time{}, p)), append(payloads,
					bytes.Clone(p))
			}
			for i := range asked {
				how := howTiny(t, asked[i], payloads[i])
				mu.Lock()
				met[how]++
				mu.Unlock()
			}
			answered.Add(1)
		})
	}
	if seed%4 == 0 {
		// What is flooded breaks by itself, and when nobody asks any more it stays so.
		wiretest.Eventually(t, "there is a link, or nobody needs one", func() bool {
			return links(nodes[0].Transport, 2) > 0 || answered.Load() == 4
		})
		breakLinks(nodes[0].Transport, 2)
	}
	callers.Wait()
	for i, budget := range budgets {
		wiretest.Eventually(t, fmt.Sprintf("node %d holds nothing", i+1), func() bool { return budget.Held() == 0 })
	}
	for _, n := range nodes {
		n.stop()
	}
}

func howTiny(t *testing.T, ch <-chan result, payload []byte) string {
	select {
	case r := <-ch:
		switch {
		case r.err == nil && !bytes.Equal(r.payload, payload):
			t.Errorf("%d bytes were answered by %d others", len(payload), len(r.payload))
		case r.err == nil:
			return "answered"
		case errors.Is(r.err, ErrNotSent):
			return "not sent"
		case errors.Is(r.err, ErrLost):
			return "lost"
		default:
			return r.err.Error()
		}
	case <-time.After(15 * time.Second):
		t.Error("a call did not end")
	}
	return "failed"
}
