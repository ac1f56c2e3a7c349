package node

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pxkv/node/kv"
	"pxkv/node/rpc"
)

// serves carries out requests of all kinds on keys of all partitions.
func (s *server) serves(t *testing.T, round string) {
	t.Helper()
	must(t, s.tries(t, round))
}

// tries is serves, and returns the error of a request that fails. What is answered must be right all the same.
func (s *server) tries(t *testing.T, round string) error {
	t.Helper()
	ctx := within(t, patience)
	failed := func(what string, err error) error {
		return fmt.Errorf("%s: %s through %s: %w", round, what, s.name, err)
	}
	var cmds []kv.Command
	for i := range 3 * s.c.partitions {
		key := fmt.Sprintf("%s %s %d", round, s.name, i)
		res, err := s.node.Write(ctx, put(key, key))
		if err != nil {
			return failed("write of "+key, err)
		}
		read, err := s.node.Read(ctx, []byte(key), kv.ReadOptions{})
		if err != nil {
			return failed("read of "+key, err)
		}
		if got := string(read.Item.Value.Data); !res.Created || got != key {
			t.Errorf("%s: write of %q through %s: %+v, read is %q", round, key, s.name, res, got)
		}
		cmds = append(cmds, incr(key+" counter", 1), reading(key))
	}
	for i, a := range s.node.Batch(ctx, cmds) {
		if a.Err != nil {
			return failed(fmt.Sprintf("operation %d of a batch", i), a.Err)
		}
		if i%2 == 1 && value(a) != string(cmds[i].Key) || i%2 == 0 && a.Result.Number != 1 {
			t.Errorf("%s: operation %d of a batch through %s: %+v", round, i, s.name, a.Result)
		}
	}
	items, err := collect(s.node.List(ctx, kv.ListQuery{Prefix: []byte(round + " " + s.name)}))
	if err != nil {
		return failed("list", err)
	}
	if len(items) != 6*s.c.partitions {
		t.Errorf("%s: %s lists %d keys, want %d", round, s.name, len(items), 6*s.c.partitions)
	}
	if _, err = s.node.CountKeys(ctx); err != nil {
		return failed("count", err)
	}
	return nil
}

// rounds names the rounds of something that is tried until it succeeds.
func rounds(what string) func() string {
	n := 0
	return func() string { n++; return fmt.Sprint(what, " ", n) }
}

// detour is the way of a request that a third node was asked to pass on.
type detour struct{ from, third, to kv.NodeID }

// detours notes when requests were last sent by detours; the zero detour stands for all of them.
type detours struct {
	mu sync.Mutex
	at map[detour]time.Time
}

// watchDetours notes those of a network from now on.
func watchDetours(n *network) *detours {
	v := &detours{at: map[detour]time.Time{}}
	n.setJudge(func(r request) fate {
		if r.kind == reqVia {
			d := content(r.payload)
			v.mu.Lock()
			defer v.mu.Unlock()
			v.at[detour{r.from, r.to, kv.NodeID(d.Uvarint())}] = time.Now()
			v.at[detour{}] = time.Now()
		}
		return deliver
	})
	return v
}

func (v *detours) last(d detour) time.Time {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.at[d]
}

// viaOf is a request to a third node.
func viaOf(to kv.NodeID, kind uint8, payload []byte) []byte {
	return append(append(binary.AppendUvarint(rpc.NewRequest(0), uint64(to)), kind), payload...)
}

// Two nodes that are cut from each other only, or of which one hears nothing of the other, serve
// everything by way of the third, and say that they are ready.
func TestAThirdNodeLeadsRoundACut(t *testing.T) {
	t.Parallel()
	for name, ways := range map[string][][2]int{
		"both ways": {{0, 1}, {1, 0}}, "one way": {{1, 0}}, "the other way": {{0, 1}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, servers := of(t, 3)
			a, b := servers[0], servers[1]
			v := watchDetours(c.net)
			for _, w := range ways {
				c.net.cutLink(servers[w[0]].id(), servers[w[1]].id())
			}
			// Until the cut is noticed, what got there and was not answered has an unknown outcome.
			for _, pair := range [][2]*server{{a, b}, {b, a}} {
				eventually(t, "the cut is noticed", func() error {
					if d := (detour{pair[0].id(), servers[2].id(), pair[1].id()}); v.last(d).IsZero() {
						return fmt.Errorf("%s asks %s no other way", pair[0].name, pair[1].name)
					}
					return nil
				})
			}
			// A third node that has not answered for askInterval, as on a busy machine, is not asked to pass anything
			// on, and then there is no way round.
			round := rounds("cut")
			for _, s := range servers {
				eventually(t, "ready", s.node.Ready)
				eventually(t, "it serves", func() error { return s.tries(t, round()) })
			}
			if a.counter("pxkv_requests_relayed_total") == 0 {
				t.Error("nothing went by way of the third node")
			}
			c.net.heal()
			v = watchDetours(c.net)
			began := time.Now()
			eventually(t, "the cut is forgotten", func() error {
				if quiet := min(time.Since(began), time.Since(v.last(detour{}))); quiet < 5*askInterval {
					return fmt.Errorf("somebody was asked by way of a third node %v ago", quiet)
				}
				return nil
			})
			relayed := func() float64 {
				return a.counter("pxkv_requests_relayed_total") + b.counter("pxkv_requests_relayed_total")
			}
			round = rounds("healed")
			// It is not, where it has not answered for askInterval.
			eventually(t, "what can be asked directly is", func() error {
				before, r := relayed(), round()
				for _, s := range servers {
					s.serves(t, r)
				}
				if n := relayed() - before; n != 0 {
					return fmt.Errorf("%v requests went by way of the third node", n)
				}
				return nil
			})
		})
	}
}

// A node is ready when requests get through, not when gossip does; and it says what does not.
func TestReadyIsWhoCanBeAsked(t *testing.T) {
	t.Parallel()
	c, servers := of(t, 3)
	a, b := servers[0], servers[1]
	c.net.setJudge(func(r request) fate {
		if r.from == a.id() && (r.to == b.id() || r.kind == reqVia) {
			return notSent
		}
		return deliver
	})
	eventually(t, "it says what it cannot ask", func() error {
		if !a.node.o.Sight.Alive(b.id()) {
			t.Fatal("gossip does not see the node")
		}
		err := a.node.Ready()
		if kv.KindOf(err) != kv.Unavailable || !strings.Contains(err.Error(), "node b cannot be asked") ||
			!strings.Contains(err.Error(), "for partition ") {
			return fmt.Errorf("ready: %v", err)
		}
		return nil
	})
	for _, s := range []*server{b, servers[2]} {
		eventually(t, "the others are ready", s.node.Ready)
	}
	// Not only while its replicas happen to know of no leader at all.
	looks := 0
	eventually(t, "no answer names the leader that cannot be asked", func() error {
		err := a.agrees(b)
		if looks++; err != nil {
			looks = 0
		} else if looks < 10 {
			err = fmt.Errorf("seen %d times in a row", looks)
		}
		return err
	})
	c.net.heal()
	eventually(t, "ready again", a.node.Ready)
	eventually(t, "the leaders are named again", func() error { return a.agrees(nil) })
}

// agrees says what the answers of a node about leaders contradict each other in, and in which of them a
// node is named as a leader that cannot be asked.
func (s *server) agrees(silent *server) error {
	view, ready := s.node.Cluster(), s.node.Ready()
	if view.Ready != (ready == nil) || view.Ready != (silent == nil) || !view.Ready && view.NotReady != ready.Error() {
		return fmt.Errorf("ready: %v; the cluster's view says %v, %q", ready, view.Ready, view.NotReady)
	}
	leads := map[string]int{}
	var leaderless []kv.PartitionID
	for _, p := range s.node.Partitions() {
		if leads[p.Leader]++; p.Leader == "" {
			leaderless = append(leaderless, p.Partition)
		}
	}
	if !slices.Equal(leaderless, view.Leaderless) ||
		!view.Ready && !strings.HasSuffix(view.NotReady, " partition "+kv.PartitionList(leaderless, 10)) {
		return fmt.Errorf("partitions without a leader: %v; the cluster's view says %v, %q", leaderless,
			view.Leaderless, view.NotReady)
	}
	for i, m := range view.Members {
		if i > 0 && m.Name <= view.Members[i-1].Name {
			return fmt.Errorf("%s comes after %s", m.Name, view.Members[i-1].Name)
		}
		if m.Leaders != leads[m.Name] || silent != nil && m.Name == silent.name && m.Leaders > 0 {
			return fmt.Errorf("%s leads %d partitions, says the cluster's view; the partitions name it %d times",
				m.Name, m.Leaders, leads[m.Name])
		}
	}
	for i := range 50 {
		if o := s.node.Owner(fmt.Append(nil, "key ", i)); slices.Contains(leaderless, o.Partition) != (o.Leader == "") {
			return fmt.Errorf("the owner of a key in partition %s is %q", o.Partition, o.Leader)
		}
	}
	return nil
}

// A node that hears nobody refuses what others may do, so that its clients can ask them; it does not wait for the end
// of each request's time. Where the others have ended, it does: they start again.
func TestANodeThatIsCutOffRefusesAtOnce(t *testing.T) {
	t.Parallel()
	for name, hears := range map[string]fate{"silence": quiet, "refusals": notSent} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, servers := of(t, 3)
			a := servers[0]
			c.net.setJudge(func(r request) fate {
				if r.from == a.id() {
					return hears
				}
				return deliver
			})
			c.net.isolate(a)
			tried := func(do func(context.Context) error) int {
				before := a.counter("pxkv_request_retries_total")
				ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
				defer cancel()
				if err := do(ctx); err != nil && kv.KindOf(err) != kv.Unavailable && kv.KindOf(err) != kv.Unknown {
					t.Errorf("it ends with %v", err)
				}
				return int(a.counter("pxkv_request_retries_total") - before)
			}
			write := func(ctx context.Context) error {
				_, err := a.node.Write(ctx, incr2("k"))
				return err
			}
			batch := func(ctx context.Context) error { return a.node.Batch(ctx, []kv.Command{incr("k", 1)})[0].Err }
			if hears == notSent {
				eventually(t, "it waits for the others", func() error {
					if n := tried(write); n < 10 {
						return fmt.Errorf("a write was tried again %d times", n)
					}
					return nil
				})
				return
			}
			for what, do := range map[string]func(context.Context) error{"write": write, "batch": batch} {
				eventually(t, "it refuses at once", func() error {
					if n := tried(do); n > 6 {
						return fmt.Errorf("a %s was tried again %d times", what, n)
					}
					return nil
				})
			}
			c.net.heal()
			eventually(t, "ready again", a.node.Ready)
			a.serves(t, "healed")
		})
	}
}

// What a third node was given and did not bring an answer of is not given to anybody again.
func TestAWriteThatGotLostBehindAThirdNodeIsUnknown(t *testing.T) {
	t.Parallel()
	c, servers := of(t, 3)
	a, b, third := servers[0], servers[1], servers[2]
	key := ""
	for i := 0; key == ""; i++ {
		if k := fmt.Sprint("k", i); a.node.Owner([]byte(k)).Leader == b.name {
			key = k
		}
	}
	writes := make(chan kv.NodeID, 100)
	c.net.setJudge(func(r request) fate {
		switch {
		case r.from == a.id() && r.to == b.id():
			return notSent
		case r.from == third.id() && r.to == b.id() && (r.kind == reqWrite || r.kind == reqSteps):
			writes <- r.from
			return loseAnswer
		}
		return deliver
	})
	_, err := a.node.Write(within(t, patience), incr2(key))
	wantKind(t, err, kv.Unknown)
	answers := a.node.Batch(within(t, patience), []kv.Command{incr(key, 1), incr(key, 1)})
	for _, answer := range answers {
		if answer.Err == nil || answer.Err.Kind != kv.Unknown {
			t.Errorf("an operation of the batch ended as %+v", answer)
		}
	}
	c.net.heal()
	if n := len(writes); n != 2 {
		t.Errorf("what got lost was passed on %d times, want once each", n)
	}
	if res := a.write(incr2(key)); res.Number != 4 {
		t.Errorf("the counter is at %d, want 4: each request was carried out once", res.Number)
	}
}

func incr2(key string) *kv.Command { c := incr(key, 1); return &c }

// What was passed on is not passed on again, and nobody speaks for another.
func TestARequestIsPassedOnOnce(t *testing.T) {
	t.Parallel()
	_, servers := of(t, 2)
	a, b := servers[0], servers[1]
	for kind, inner := range map[uint8][]byte{reqVia: viaOf(a.id(), reqLeading, nil), reqMeta: []byte("{}")} {
		failed := make(chan error, 1)
		b.node.HandleRequest(a.id(), reqVia, time.Now().Add(time.Minute), viaOf(a.id(), kind, inner),
			func(_ []byte, err error) { failed <- err })
		if err := <-failed; err == nil {
			t.Errorf("a request of kind %d was passed on", kind)
		}
	}
}
