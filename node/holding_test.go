package node

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"pxkv/node/kv"
	"pxkv/node/local"
	"pxkv/node/replica"
)

// account gives a request an account in a budget, and counts out what it holds at its end.
func account(t *testing.T, b *kv.Budget, do func(ctx context.Context, a *kv.Account)) {
	var a kv.Account
	a.Open(b, kv.OfClients)
	defer a.Close()
	do(kv.WithAccount(within(t, patience), &a), &a)
}

// With hardly any room a request is either done, and what it returned is counted, or certainly not
// done; and when it has ended nothing of it is counted any more.
func TestWhatIsReturnedIsCounted(t *testing.T) {
	t.Parallel()
	for seed := range uint64(4) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			rng := rand.New(rand.NewPCG(seed, 11))
			_, servers := of(t, 3, tiny(rng), partitions(4))
			model := map[string]string{}
			done, refused := 0, 0
			for round := range 60 {
				s := servers[rng.IntN(3)]
				b := kv.NewBudget(int64(1000 + rng.IntN(40_000)))
				var cmds []kv.Command
				for i := range 1 + rng.IntN(40) {
					cmds = append(cmds, drawOperation(rng, fmt.Sprintf("%d.%d.", round, i)))
				}
				account(t, b, func(ctx context.Context, a *kv.Account) {
					size := 0
					for i, got := range s.node.Batch(ctx, cmds) {
						c := &cmds[i]
						key := string(c.Key)
						switch {
						case got.Later, kv.KindOf(asErr(got.Err)) == kv.Overloaded:
							refused++
							continue
						case got.Err != nil:
							t.Fatalf("round %d, operation %d on %q: %v", round, i, key, got.Err)
						case c.Asks() && value(got) != string(c.Part.Of([]byte(model[key]))):
							t.Fatalf("round %d, operation %d on %q: %.20q, want %.20q", round, i, key, value(got),
								model[key])
						}
						done++
						size += len(value(got))
						switch c.Op {
						case kv.OpPut:
							model[key] = string(c.Value.Data)
						case kv.OpDelete:
							delete(model, key)
						}
					}
					if a.Held() < size {
						t.Errorf("round %d: %d bytes are counted, %d were returned", round, a.Held(), size)
					}
				})
				if held := b.Held(); held != 0 {
					t.Fatalf("round %d: %d bytes are counted after the end", round, held)
				}
			}
			if done == 0 || refused == 0 {
				t.Errorf("%d operations were done and %d refused: this tries nothing", done, refused)
			}
		})
	}
}

func asErr(e *kv.Error) error {
	if e == nil {
		return nil
	}
	return e
}

// Reads, lists and transactions of any kind are refused when there is no room for what they return,
// at once, and are not tried again; what is small finds room beside what is large.
func TestWhatFindsNoRoomIsRefused(t *testing.T) {
	t.Parallel()
	_, servers := of(t, 3, partitions(4))
	long := strings.Repeat("x", 40<<10)
	var written [8]uint64 // at which index the long ones are
	for i := range written {
		written[i] = servers[0].write(put(fmt.Sprint("long", i), long)).Receipt.Index
		servers[0].write(put(fmt.Sprint("small", i), "v"))
	}
	const limit = 1 << 20
	for _, s := range servers {
		for name, do := range map[string]func(ctx context.Context) error{
			"read": func(ctx context.Context) error {
				_, err := s.node.Read(ctx, []byte("long1"), kv.ReadOptions{})
				return err
			},
			"stale read": func(ctx context.Context) error {
				_, err := s.node.Read(ctx, []byte("long2"), kv.ReadOptions{
					Consistency: kv.Stale, MinIndex: written[2],
				})
				return err
			},
			"list": func(ctx context.Context) error { _, err := collect(s.node.List(ctx, kv.ListQuery{})); return err },
			"stale list": func(ctx context.Context) error {
				_, err := collect(s.node.List(ctx, kv.ListQuery{Consistency: kv.Stale}))
				return err
			},
			"write": func(ctx context.Context) error { _, err := s.node.Write(ctx, put("new", long)); return err },
			"transaction": func(ctx context.Context) error {
				_, err := s.node.Transact(ctx, &kv.Transaction{Commands: []kv.Command{reading("long3")}})
				return err
			},
			"batch": func(ctx context.Context) error {
				return asErr(s.node.Batch(ctx, []kv.Command{reading("long4")})[0].Err)
			},
		} {
			b := kv.NewBudget(limit)
			b.Force(limit/8*int(kv.OfClients) - 20<<10)
			before := b.Held()
			account(t, b, func(ctx context.Context, _ *kv.Account) {
				if err := do(ctx); kv.KindOf(err) != kv.Overloaded {
					t.Errorf("%s through %s without room: %v", name, s.name, err)
				}
				res, err := s.node.Read(ctx, []byte("small1"), kv.ReadOptions{})
				if err != nil || string(res.Item.Value.Data) != "v" {
					t.Errorf("a small value through %s beside large ones: %v", s.name, err)
				}
			})
			if b.Held() != before {
				t.Errorf("%s through %s: %d bytes are counted, %d before", name, s.name, b.Held(), before)
			}
			b = kv.NewBudget(limit)
			account(t, b, func(ctx context.Context, _ *kv.Account) {
				if err := do(ctx); err != nil {
					t.Errorf("%s through %s with room: %v", name, s.name, err)
				}
			})
			if b.Held() != 0 {
				t.Errorf("%s through %s: %d bytes are counted after the end", name, s.name, b.Held())
			}
		}
		if s.get("new") != long {
			t.Errorf("through %s: the write that had room was not done", s.name)
		}
		s.write(del("new"))
	}
}

// Many lists of long values at one time hold no more than there is room for, whatever else happens.
func TestManyListsHoldWhatThereIsRoomFor(t *testing.T) {
	t.Parallel()
	_, servers := of(t, 3, partitions(4))
	long := strings.Repeat("x", 100<<10)
	for i := range 20 {
		servers[0].write(put(fmt.Sprint("long", i), long))
	}
	b := kv.NewBudget(2 << 20)
	var lists sync.WaitGroup
	for i := range 30 {
		s := servers[i%3]
		lists.Go(func() {
			account(t, b, func(ctx context.Context, a *kv.Account) {
				for it, err := range s.node.List(ctx, kv.ListQuery{}) {
					if err != nil && kv.KindOf(err) != kv.Overloaded {
						t.Errorf("through %s: %v", s.name, err)
					}
					if err == nil && a.Held() < len(it.Value.Data) {
						t.Errorf("through %s: a value of %d bytes is there, %d are counted", s.name, len(it.Value.Data),
							a.Held())
					}
					if held := b.Held(); held > b.Limit() {
						t.Errorf("%d bytes are held of %d", held, b.Limit())
					}
				}
			})
		})
	}
	lists.Wait()
	if b.Held() != 0 {
		t.Errorf("%d bytes are counted after the end", b.Held())
	}
}

// A transaction that the wrong node was asked for is asked for again; the room for its values is given back once.
func TestRoomOfATransactionIsGivenBackOnce(t *testing.T) {
	t.Parallel()
	_, servers := of(t, 2, replicas(1), partitions(4))
	key := keyLedBy(t, servers[1], "k")
	item := kv.Item{Key: []byte{}, Value: kv.Value{Kind: kv.String, Data: []byte("a value")}, Version: 1}
	answers := [][]byte{
		encodeStepAnswer(reqSteps, []*step{{err: kv.Errorf(kv.NotLeader, "elsewhere")}}),
		encodeStepAnswer(reqSteps, []*step{{unit: []byte{0}, commands: 1, result: kv.TransactionResult{
			Results: []kv.Result{{Outcome: kv.Done, Item: &item}},
		}}}),
	}
	n := servers[0].over(t, func(done func([]byte, error)) {
		done(answers[0], nil)
		answers = answers[1:]
	})
	b := kv.NewBudget(8 << 20)
	account(t, b, func(ctx context.Context, a *kv.Account) {
		res, err := n.Transact(ctx, &kv.Transaction{Commands: []kv.Command{reading(key)}})
		must(t, err)
		if got := string(res.Results[0].Item.Value.Data); got != "a value" || len(answers) != 0 {
			t.Errorf("%q came, and %d answers were not asked for", got, len(answers))
		}
		if held := a.Held(); held < len("a value") || held > 1000 {
			t.Errorf("%d bytes are counted", held)
		}
	})
}

// What was read of keys that are due is counted out once, when their group's time cannot be brought forward.
func TestReadsOfWhatIsDueAreCountedOutOnce(t *testing.T) {
	t.Parallel()
	_, servers := of(t, 1, partitions(1))
	s := servers[0]
	n := s.node
	hold, held := make(chan struct{}), make(chan struct{})
	var asking sync.WaitGroup
	defer asking.Wait()
	defer close(hold)
	cmd := put("k", strings.Repeat("v", 1000))
	cmd.Expiry = kv.Expiry{Kind: kv.ExpiryIn, MS: 2000}
	s.write(cmd)
	asking.Go(func() {
		_ = s.loop.Do(context.Background(), func(*replica.Host) { close(held); <-hold })
	})
	<-held
	h := s.loop.Handle(0)
	account(t, kv.NewBudget(8<<20), func(ctx context.Context, a *kv.Account) {
		eventually(t, "the key is due", func() error {
			if _, due, e := n.readLocal(local.Fresh(h), cmd.Key, kv.Part{}, 0); !due || e != nil {
				return fmt.Errorf("due %v, error %v", due, e)
			}
			return nil
		})
		short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
		defer cancel()
		asked := &step{keys: []wanted{{key: cmd.Key}}}
		n.readKeys(short, asked, h, 0)
		if asked.err == nil || a.Held() != 0 {
			t.Errorf("it ended with %v, and %d bytes are counted", asked.err, a.Held())
		}
	})
}
