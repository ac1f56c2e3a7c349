package loadcheck

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// store is a server of the interface that a Load uses. before decides about each write;
// 0 lets it through.
type store struct {
	before func(key string) int
	by     func(reads int) string // who answers a read, nil: nobody is named

	mu    sync.Mutex
	pairs map[string]string
	tries map[string]int
	reads int
}

func serve(t *testing.T, s *store) Target {
	t.Helper()
	s.pairs, s.tries = map[string]string{}, map[string]int{}
	mux := http.NewServeMux()
	mux.HandleFunc("PUT /kv", s.put)
	mux.HandleFunc("GET /kv", s.get)
	mux.HandleFunc("GET /readyz", func(http.ResponseWriter, *http.Request) {})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return Target{Name: "store", URL: server.URL}
}

func (s *store) put(w http.ResponseWriter, r *http.Request) {
	var pair struct{ Key, Value string }
	if err := json.NewDecoder(r.Body).Decode(&pair); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tries[pair.Key]++
	if s.before != nil {
		if status := s.before(pair.Key); status != 0 {
			w.WriteHeader(status)
			return
		}
	}
	s.pairs[pair.Key] = pair.Value
}

func (s *store) get(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reads++; s.by != nil {
		w.Header().Set("X-Pxkv-Node", s.by(s.reads))
	}
	key := r.FormValue("key")
	value, ok := s.pairs[key]
	if !ok {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	_ = json.NewEncoder(w).Encode(map[string]string{key: value})
}

// enough is how many writes a Load begins at least: k0 to k19 are among them.
const enough = 20

// run drives a Load over targets until enough writes were acknowledged.
func run(t *testing.T, ledger *Ledger, targets ...Target) Summary {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	go func() {
		defer cancel()
		for ledger.Len() < enough && ctx.Err() == nil {
			time.Sleep(time.Millisecond)
		}
	}()
	l := &Load{Prefix: "k", Rate: 500, Targets: targets, Ledger: ledger}
	sum, err := l.Run(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if sum.Acked < enough {
		t.Errorf("only %d writes were acknowledged", sum.Acked)
	}
	return sum
}

func TestEveryAcknowledgedWriteIsReadBack(t *testing.T) {
	t.Parallel()
	target, ledger := serve(t, &store{}), &Ledger{}
	sum := run(t, ledger, target)
	if sum.Acked == 0 || sum.Acked != ledger.Len() || sum.Reads != sum.Acked || sum.Failed+sum.Unknown+sum.Lost != 0 {
		t.Errorf("summary %v with %d keys in the ledger", sum, ledger.Len())
	}
	if err := ledger.Verify(t.Context(), []Target{target}); err != nil {
		t.Error(err)
	}
}

func TestALostWriteIsFound(t *testing.T) {
	t.Parallel()
	s, ledger := &store{}, &Ledger{}
	target := serve(t, s)
	run(t, ledger, target)
	s.mu.Lock()
	delete(s.pairs, "k3")
	s.mu.Unlock()
	err := ledger.Verify(t.Context(), []Target{target})
	if err == nil || !strings.Contains(err.Error(), "1 of ") || !strings.Contains(err.Error(), "k3") {
		t.Errorf("verify says %v, want that k3 is missing", err)
	}
}

func TestAWrongValueIsFound(t *testing.T) {
	t.Parallel()
	s, ledger := &store{}, &Ledger{}
	target := serve(t, s)
	run(t, ledger, target)
	s.mu.Lock()
	s.pairs["k3"] = "other"
	s.mu.Unlock()
	if err := ledger.Verify(t.Context(), []Target{target}); err == nil || !strings.Contains(err.Error(), "other") {
		t.Errorf("verify says %v, want that k3 holds another value", err)
	}
}

func TestANodesOwnDiskIsAskedUntilItAnswersItself(t *testing.T) {
	t.Parallel()
	s := &store{by: func(reads int) string {
		if reads < 3 {
			return "another" // while the replica is being filled
		}
		return "store"
	}}
	target := serve(t, s)
	s.pairs["k"] = valueOf("k")
	var ledger Ledger
	ledger.add("k")
	if err := ledger.VerifyOwn(t.Context(), target); err != nil || s.reads != 3 {
		t.Errorf("error %v after %d reads, want none after 3", err, s.reads)
	}
}

func TestOnlyWritesCertainlyNotDoneAreRepeated(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name           string
		status         int
		repeated       bool
		unknown, fails int
	}{
		{"unavailable", http.StatusServiceUnavailable, true, 0, 0},
		{"outcome unknown", http.StatusGatewayTimeout, false, 1, 0},
		{"an answer nobody promised", http.StatusInternalServerError, false, 1, 0},
		{"full", http.StatusInsufficientStorage, false, 0, 1},
		{"bad request", http.StatusBadRequest, false, 0, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := &store{}
			s.before = func(key string) int { // only the first try of k5 meets the status
				if key == "k5" && s.tries[key] == 1 {
					return c.status
				}
				return 0
			}
			ledger := &Ledger{}
			target := serve(t, s)
			sum := run(t, ledger, target)
			if got := s.tries["k5"]; (got == 2) != c.repeated {
				t.Errorf("k5 was sent %d times", got)
			}
			if (sum.Repeated == 1) != c.repeated || sum.Unknown != c.unknown || sum.Failed != c.fails {
				t.Errorf("summary %v", sum)
			}
			if err := ledger.Verify(t.Context(), []Target{target}); err != nil {
				t.Errorf("a write that was not acknowledged is in the ledger: %v", err)
			}
		})
	}
}

func TestADeadTargetCostsNoWrite(t *testing.T) {
	t.Parallel()
	dead := Target{Name: "dead", URL: "http://127.0.0.1:1"} // a port that nobody is given
	ledger := &Ledger{}
	sum := run(t, ledger, dead, serve(t, &store{}))
	if sum.Acked == 0 || sum.Failed+sum.Unknown+sum.Lost != 0 {
		t.Errorf("summary %v", sum)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if ledger.Verify(ctx, []Target{dead}) == nil {
		t.Error("verify finds everything on a dead node")
	}
}

func TestTheGapIsTheLongestTimeWithoutAnAcknowledgement(t *testing.T) {
	t.Parallel()
	var y tally
	at := func(ms int) time.Time { return time.UnixMilli(0).Add(time.Duration(ms) * time.Millisecond) }
	y.start(at(0))
	y.acknowledged(at(10), time.Millisecond)
	y.acknowledged(at(250), 200*time.Millisecond)
	y.acknowledged(at(260), time.Millisecond)
	y.stop(at(300))
	y.acknowledged(at(9000), time.Millisecond) // was under way when the load ended
	if s := y.summary(); s.LongestGap != 240 || s.SlowestPut != 200 || s.Duration != 300 || s.Acked != 4 {
		t.Errorf("summary %v", s)
	}
}
