package transfer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"pxkv/node/kv"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// put is an operation that a store was sent.
type put struct {
	Op          string          `json:"op"`
	Key         string          `json:"key"`
	Value       json.RawMessage `json:"value"`
	ContentType string          `json:"content_type"`
	Expires     string          `json:"expires"`
	IfVersion   *int            `json:"if_version"`
}

// fakeStore keeps what it is sent, and fails as it is told.
type fakeStore struct {
	mu    sync.Mutex
	pairs map[string]string
	calls [][]put
	// before decides about a call: done says that it is carried out, a failure or status what is answered all the same.
	before func(call int, ops []put) (done bool, err error)
	// status is what is answered of an operation that is not carried out; 0 is that it is.
	status func(call int, p put) int
}

func (s *fakeStore) Batch(ctx context.Context, body []byte) ([]byte, error) {
	var request struct {
		Ops []put `json:"ops"`
	}
	if err := json.Unmarshal(body, &request); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	call := len(s.calls)
	s.calls = append(s.calls, request.Ops)
	done, err := true, error(nil)
	if s.before != nil {
		done, err = s.before(call, request.Ops)
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	var answer struct {
		Results []result `json:"results"`
	}
	for _, p := range request.Ops {
		status := 200
		if s.status != nil {
			status = max(status, s.status(call, p))
		}
		_, there := s.pairs[p.Key]
		switch {
		case !done || status != 200:
		case p.IfVersion != nil && there:
			status = 412
		default:
			s.pairs[p.Key] = string(p.Value)
		}
		answer.Results = append(answer.Results, result{status, "as told"})
	}
	if err != nil {
		return nil, err
	}
	return json.Marshal(answer)
}

func (s *fakeStore) Put(_ context.Context, e *Entry, ifAbsent bool) (present bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	call := len(s.calls)
	p := put{Op: "raw", Key: string(e.Key), ContentType: e.Value.ContentType}
	s.calls = append(s.calls, []put{p})
	done, err := true, error(nil)
	if s.before != nil {
		done, err = s.before(call, []put{p})
	}
	if _, there := s.pairs[p.Key]; there && ifAbsent && err == nil {
		return true, nil
	}
	if done {
		s.pairs[p.Key] = string(e.Value.Data)
	}
	return false, err
}

// imported runs an import of a text that is lines or one object.
func imported(t *testing.T, s *fakeStore, text string, edit func(*Import)) (counts Counts, faults []string, err error) {
	t.Helper()
	if s.pairs == nil {
		s.pairs = map[string]string{}
	}
	from, err := Open(strings.NewReader(text), "")
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	im := &Import{
		Store: s, RetryFor: time.Minute, Now: func() time.Time { return time.UnixMilli(1_000_000) },
		Fault: func(f *Fault) { faults = append(faults, f.Error()) }, Warn: func(err error) { t.Error(err) },
		Limits: Limits{Ops: 3, Bytes: 1 << 20, Batches: 2, Pause: time.Millisecond},
	}
	if edit != nil {
		edit(im)
	}
	counts, err = im.Run(t.Context(), from)
	return counts, faults, err
}

// numbered are n lines with keys k0, k1 and so on.
func numbered(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "{\"key\":\"k%d\",\"value\":%d}\n", i, i)
	}
	return b.String()
}

func TestImportSendsAllThatAPairHas(t *testing.T) {
	t.Parallel()
	s := &fakeStore{}
	counts, faults, err := imported(t, s, `{"key":"a","value":"<\u00fc\n","content_type":"text/html; a=\"b\"","expires":"1970-01-01T01:00:00.007Z"}
{"key":"\u00fc","value":{"n" : 1.50}}
{"key":"b","value":{"$binary":"AP8="},"content_type":"image/png"}
{"key":"gone","value":1,"expires":"1970-01-01T00:00:01Z"}
{"key":"c"}
`, nil)
	want := Counts{Imported: 3, Expired: 1, Bad: 1}
	if err != nil || counts != want || len(faults) != 1 {
		t.Fatalf("%+v %v %v", counts, faults, err)
	}
	got, _ := json.Marshal(s.calls)
	const sent = `[[{"op":"put","key":"a","value":"\u003cü\n","content_type":"text/html; a=\"b\"","expires":"1970-01-01T01:00:00.007Z","if_version":null},` +
		`{"op":"put","key":"ü","value":{"n":1.50},"content_type":"","expires":"","if_version":null},` +
		`{"op":"put","key":"b","value":{"$binary":"AP8="},"content_type":"image/png","expires":"","if_version":null}]]`
	if string(got) != sent {
		t.Errorf("sent %s", got)
	}
}

func TestImportLeavesOut(t *testing.T) {
	t.Parallel()
	s := &fakeStore{pairs: map[string]string{"k1": "old"}}
	counts, _, err := imported(t, s, numbered(12), func(im *Import) { im.Prefix, im.IfAbsent = []byte("k1"), true })
	if want := (Counts{Imported: 2, Present: 1, Filtered: 9}); err != nil || counts != want {
		t.Fatalf("%+v %v", counts, err)
	}
	if s.pairs["k1"] != "old" || s.pairs["k11"] != "11" || len(s.pairs) != 3 {
		t.Errorf("%v", s.pairs)
	}
	s = &fakeStore{}
	counts, _, err = imported(t, s, numbered(12), func(im *Import) { im.Store = nil })
	if err != nil || counts.Imported != 12 || len(s.calls) != 0 {
		t.Fatalf("%+v %v: a check writes", counts, err)
	}
}

// Batches hold no key twice, and of two pairs with one key the later one wins, whatever fails and how late.
func TestPairsOfOneKeyKeepTheirOrder(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 1))
		s := &fakeStore{}
		s.before = func(_ int, ops []put) (bool, error) {
			keys := map[string]bool{}
			for _, p := range ops {
				if keys[p.Key] {
					t.Errorf("seed %d: a batch has %s twice", seed, p.Key)
				}
				keys[p.Key] = true
			}
			switch rng.IntN(4) {
			case 0:
				return false, &Failure{NotDone, errors.New("busy")}
			case 1:
				return rng.IntN(2) == 0, &Failure{Unknown, errors.New("lost")}
			}
			return true, nil
		}
		var text strings.Builder
		want := map[string]string{}
		for i := range 60 {
			key := fmt.Sprint("k", rng.IntN(12))
			want[key] = fmt.Sprint(i)
			fmt.Fprintf(&text, "{\"key\":%q,\"value\":%d}\n", key, i)
		}
		counts, _, err := imported(t, s, text.String(), nil)
		if err != nil || counts.Imported != 60 {
			t.Fatalf("seed %d: %+v %v", seed, counts, err)
		}
		for key, value := range want {
			if s.pairs[key] != value {
				t.Errorf("seed %d: %s is %s, want %s", seed, key, s.pairs[key], value)
			}
		}
	}
}

// What is refused is found out by halves and reported; what was not done, or may be, is sent again, and nothing else.
func TestFailuresOfCalls(t *testing.T) {
	t.Parallel()
	s := &fakeStore{}
	s.before = func(_ int, ops []put) (bool, error) {
		for _, p := range ops {
			if p.Key == "k1" || p.Key == "k7" {
				return false, &Failure{Refused, errors.New("too large")}
			}
		}
		return true, nil
	}
	counts, faults, err := imported(t, s, numbered(12), func(im *Import) { im.Limits = Limits{} })
	slices.Sort(faults)
	if err != nil || counts != (Counts{Imported: 10, Bad: 2}) ||
		!slices.Equal(faults, []string{"line 2, pair 2: too large", "line 8, pair 8: too large"}) {
		t.Errorf("%+v %v %v", counts, faults, err)
	}

	s = &fakeStore{}
	s.status = func(call int, p put) int {
		switch {
		case call == 0 && p.Key == "k1":
			return 503
		case call == 1 && p.Key == "k1":
			return 504
		case call == 2 && p.Key == "k1":
			return 507
		case p.Key == "k2":
			return 413
		}
		return 0
	}
	counts, faults, err = imported(t, s, numbered(3), nil)
	if err != nil || counts != (Counts{Imported: 2, Bad: 1}) || len(faults) != 1 || len(s.calls) != 4 ||
		len(s.calls[1]) != 1 {
		t.Errorf("%+v %v %v %v", counts, faults, err, s.calls)
	}

	// With a condition, what was written and not answered is found there.
	s = &fakeStore{before: func(call int, _ []put) (bool, error) {
		if call == 0 {
			return true, &Failure{Unknown, errors.New("lost")}
		}
		return true, nil
	}}
	counts, _, err = imported(t, s, numbered(2), func(im *Import) { im.IfAbsent = true })
	if err != nil || counts != (Counts{Present: 2}) {
		t.Errorf("%+v %v", counts, err)
	}
}

// When nothing can be written for too long the import ends, and its error tells what is known.
func TestImportGivesUp(t *testing.T) {
	t.Parallel()
	for _, ending := range []Ending{NotDone, Unknown, 0} {
		s := &fakeStore{before: func(call int, _ []put) (bool, error) {
			switch {
			case call == 0:
				return true, nil
			case ending == 0:
				return false, errors.New("no node")
			}
			return false, &Failure{ending, errors.New("no answer")}
		}}
		counts, _, err := imported(t, s, numbered(100), func(im *Import) {
			im.RetryFor, im.Limits.Batches = 100*time.Millisecond, 1
		})
		f, ok := errors.AsType[*Failure](err)
		if err == nil || !strings.Contains(err.Error(), "all pairs up to pair 3 are done with") ||
			counts.Imported != 3 || ok != (ending != 0) || ok && f.Ending != ending || len(s.pairs) != 3 {
			t.Errorf("%v: %+v %v", ending, counts, err)
		}
	}
}

// An import that was stopped anywhere goes on where it was, and ends with exactly the pairs.
func TestImportGoesOn(t *testing.T) {
	t.Parallel()
	var text strings.Builder
	for i := range 200 { // most keys twice
		fmt.Fprintf(&text, "{\"key\":\"k%d\",\"value\":%d}\n", i*7%101, i)
	}
	text.WriteString("bad\n")
	for seed := range uint64(30) {
		name := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(name, []byte(text.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		rng := rand.New(rand.NewPCG(seed, 2))
		s := &fakeStore{pairs: map[string]string{}}
		for runs, last := 0, 0; ; runs++ {
			stop := len(s.calls) + 5 + rng.IntN(20)
			s.before = func(call int, _ []put) (bool, error) {
				if call >= stop {
					return rng.IntN(2) == 0, errors.New("the process dies")
				}
				return true, nil
			}
			state := NewState(name, info, "c", "o")
			if err := state.Resume(); err != nil {
				t.Fatal(err)
			}
			if state.Entries < last {
				t.Fatalf("seed %d: goes on at %d after %d", seed, state.Entries, last)
			}
			last = state.Entries
			before := len(s.calls)
			counts, faults, err := imported(t, s, text.String(), func(im *Import) {
				im.State, im.Limits.SaveEvery = state, time.Nanosecond
			})
			if first := s.calls[before][0]; last > 0 && first.Key == "k0" {
				t.Fatalf("seed %d: it began anew", seed)
			}
			if err == nil {
				if counts != (Counts{Imported: 200, Bad: 1}) || len(faults) != 1 || len(s.pairs) != 101 || last == 0 {
					t.Errorf("seed %d: %+v %v, %d pairs, %d runs", seed, counts, faults, len(s.pairs), runs)
				}
				for i := 99; i < 200; i++ {
					if key := fmt.Sprint("k", i*7%101); s.pairs[key] != fmt.Sprint(i) {
						t.Errorf("seed %d: %s is %s, not %d", seed, key, s.pairs[key], i)
					}
				}
				if err := state.Remove(); err != nil {
					t.Error(err)
				}
				break
			}
		}
		if left, _ := filepath.Glob(name + "?*"); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	}
}

// A pair that had to wait for its like is not done when that is.
func TestStateBeforeAKeyThatComesTwice(t *testing.T) {
	t.Parallel()
	s := &fakeStore{before: func(call int, _ []put) (bool, error) {
		if call > 0 {
			return false, errors.New("the process dies")
		}
		return true, nil
	}}
	state := &State{name: filepath.Join(t.TempDir(), "state")}
	text := `{"key":"a","value":1}` + "\n" + `{"key":"b","value":2}` + "\n" + `{"key":"a","value":3}` + "\n"
	_, _, err := imported(t, s, text, func(im *Import) { im.State = state })
	if err == nil || state.Entries != 2 {
		t.Errorf("%v, done up to %d", err, state.Entries)
	}
}

// What is known of another import is not taken for this one's.
func TestStatesOfOthers(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "file")
	stat := func(text string) os.FileInfo {
		t.Helper()
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		return info
	}
	info := stat("a")
	was := NewState(name, info, "c1", "o1")
	was.Entries, was.Counts = 7, Counts{Imported: 7}
	if err := was.save(time.Now()); err != nil {
		t.Fatal(err)
	}
	same := NewState(name, info, "c1", "o1")
	if err := same.Resume(); err != nil || same.Entries != 7 || same.Counts.Imported != 7 {
		t.Errorf("%+v %v", same, err)
	}
	refused := func(s *State, why string) {
		t.Helper()
		if err := s.Resume(); err == nil || !strings.Contains(err.Error(), why) ||
			!strings.Contains(err.Error(), "--restart") || s.Entries != 0 {
			t.Errorf("%v", err)
		}
	}
	refused(NewState(name, info, "c2", "o1"), "the id c1, and this one has c2")
	refused(NewState(name, info, "c1", "o2"), "other options (o1, now o2)")
	refused(NewState(name, stat("ab"), "c1", "o1"), "the file has changed")
	if err := os.WriteFile(StateName(name), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	refused(NewState(name, stat("ab"), "c1", "o1"), "cannot be understood")
}

// A batch is sent when it is long enough, and one long value goes alone.
func TestBatchesAreBounded(t *testing.T) {
	t.Parallel()
	s := &fakeStore{}
	value := strings.Repeat("v", 600)
	text := ""
	for i := range 10 {
		text += fmt.Sprintf("{\"key\":\"k%d\",\"value\":%q}\n", i, value)
	}
	if _, _, err := imported(t, s, text, func(im *Import) { im.Limits.Ops, im.Limits.Bytes = 1000, 1000 }); err != nil {
		t.Fatal(err)
	}
	for _, ops := range s.calls {
		if len(ops) != 2 {
			t.Errorf("a batch of %d", len(ops))
		}
	}
	if kv.DefaultMaxValueBytes+1<<20 > 12<<20 {
		t.Error("the longest value and what precedes it in its batch are more than a node takes")
	}
}

// When an import is interrupted, what is under way is waited for.
func TestInterruptedImport(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	s := &fakeStore{pairs: map[string]string{}}
	s.before = func(call int, _ []put) (bool, error) {
		if call == 3 {
			cancel()
		}
		return true, nil
	}
	from, err := Open(strings.NewReader(numbered(1000)), "")
	if err != nil {
		t.Fatal(err)
	}
	im := &Import{Store: s, RetryFor: time.Minute, Now: time.Now, Limits: Limits{Ops: 3}}
	counts, err := im.Run(ctx, from)
	if !errors.Is(err, context.Canceled) || counts.Imported != len(s.pairs) || len(s.pairs) == 1000 {
		t.Errorf("%+v %v, %d pairs", counts, err, len(s.pairs))
	}
}

// A state that cannot be kept is said once, and does not end the import.
func TestStateThatCannotBeKept(t *testing.T) {
	t.Parallel()
	warned, state := 0, &State{name: filepath.Join(t.TempDir(), "none", "x")}
	_, _, err := imported(t, &fakeStore{}, numbered(30), func(im *Import) {
		im.State = state
		im.Warn, im.Limits.SaveEvery = func(error) { warned++ }, time.Nanosecond
	})
	if err != nil || warned != 1 {
		t.Errorf("%v, %d warnings", err, warned)
	}
	if state.Entries == 0 { // the last batch is empty
		t.Error("at the end it says that nothing is done")
	}
}
