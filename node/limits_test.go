package node

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"pxkv/node/kv"
)

// tiny draws limits behind which most batches of a test lie.
func tiny(rng *rand.Rand) func(*cluster) {
	return func(c *cluster) {
		c.maxValue = 1 << 10
		l := Limits{
			ValueBytes: 1 << 10, RequestBytes: 200 + rng.IntN(4000), ReadBytes: 1 + rng.IntN(4000),
			UnitBytes:        1 + rng.IntN(3000),
			TransactionBytes: 1 + rng.IntN(6000), BatchBytes: 1 + rng.IntN(20_000), PageItems: 1 + rng.IntN(20),
			PageBytes: 1 + rng.IntN(2000), PageLooked: 1 + rng.IntN(20),
			WalkKeys: 1 + rng.IntN(8), WalkBytes: 1 + rng.IntN(100),
		}
		l.AnswerBytes = answerHead + l.reads() + l.unit() + (2+rng.IntN(20))*resultBytes
		l.Filtering = 1 + l.PageLooked%2 // drawn by nothing, so that seeds stay what they were
		c.limits, c.touch = l, rng.IntN(3000)
	}
}

// Whatever the limits and the sizes are, every operation of a pipeline is answered as if each had
// come alone: nothing is removed or changed whose answer cannot travel. The network of these tests
// loses answers that are too long, as the real one does.
func TestNothingIsDoneThatCannotBeAnswered(t *testing.T) {
	t.Parallel()
	for seed := range uint64(6) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			rng := rand.New(rand.NewPCG(seed, 7))
			_, servers := of(t, 3, tiny(rng), partitions(4))
			model := map[string]string{}
			for round := range 25 {
				s := servers[rng.IntN(3)]
				var cmds []kv.Command
				for i := range 1 + rng.IntN(100) {
					cmds = append(cmds, drawOperation(rng, fmt.Sprintf("%d.%d.", round, i)))
				}
				for i := 0; len(cmds) > 0; i++ {
					cmds = s.carryOut(t, cmds, model, fmt.Sprintf("round %d, part %d through %s", round, i, s.name))
				}
			}
			s := servers[0]
			if got := len(s.listed(kv.ListQuery{})); got != len(model) {
				t.Errorf("%d keys in a list, want %d", got, len(model))
			}
			walked := map[string]bool{}
			for from := uint64(0); ; {
				keys, next, err := s.node.Walk(within(t, patience), from, 3)
				must(t, err)
				for _, k := range keys {
					walked[string(k)] = true
				}
				if from = next; next == 0 {
					break
				}
			}
			if len(walked) != len(model) {
				t.Errorf("a walk met %d keys, want %d", len(walked), len(model))
			}
		})
	}
}

func drawOperation(rng *rand.Rand, unique string) kv.Command {
	key := fmt.Sprint("{", rng.IntN(3), "}", rng.IntN(5))
	v := unique + strings.Repeat("x", []int{0, 30, 300, 900, 900}[rng.IntN(5)])
	c := *put(key, v)
	c.ReturnOld = rng.IntN(2) == 0
	switch rng.IntN(5) {
	case 0:
		c = *del(key)
		c.ReturnOld = rng.IntN(3) > 0
	case 1, 2:
		c = readingPart(key, askedParts[rng.IntN(len(askedParts))])
	}
	return c
}

// carryOut has a batch carried out, compares all answers with a model, and returns what was left
// for later.
func (s *server) carryOut(t *testing.T, cmds []kv.Command, model map[string]string, what string) (later []kv.Command) {
	t.Helper()
	refused := map[string]bool{}
	for i, a := range s.node.Batch(within(t, patience), cmds) {
		c := &cmds[i]
		key := string(c.Key)
		switch {
		case a.Later:
			refused[key] = true
			later = append(later, *c)
			continue
		case a.Err != nil:
			t.Fatalf("%s, operation %d on %q: %v", what, i, key, a.Err)
		case refused[key]:
			t.Fatalf("%s, operation %d on %q was done before one that had come earlier", what, i, key)
		case c.Asks() && value(a) != string(c.Part.Of([]byte(model[key]))):
			t.Fatalf("%s, operation %d on %q, part %+v: %.20q, want that of %.20q", what, i, key, c.Part, value(a),
				model[key])
		case c.Part.Kind != kv.WholeValue && a.Result.Number != int64(len(model[key])):
			t.Fatalf("%s, operation %d on %q: length %d, want %d", what, i, key, a.Result.Number, len(model[key]))
		}
		switch c.Op {
		case kv.OpPut:
			model[key] = string(c.Value.Data)
		case kv.OpDelete:
			delete(model, key)
		}
	}
	if len(later) == len(cmds) {
		t.Fatalf("%s: nothing was done", what)
	}
	return later
}

// What is one transaction for its client is not cut: when its values might not fit an answer,
// nothing of it is done, and the client knows.
func TestATransactionThatCannotBeAnsweredIsRefusedWhole(t *testing.T) {
	t.Parallel()
	_, servers := of(t, 3, func(c *cluster) {
		c.maxValue, c.limits = 1000, Limits{
			ValueBytes: 1000, ReadBytes: 1000, UnitBytes: 1000, TransactionBytes: 2500, AnswerBytes: 16 << 10,
		}
	})
	long := strings.Repeat("x", 1000)
	taking := func(key string) kv.Command { return kv.Command{Op: kv.OpDelete, Key: []byte(key), ReturnOld: true} }
	for _, s := range servers {
		for i := range 3 {
			s.write(put(fmt.Sprint("{tag}", i), long))
		}
		tx := &kv.Transaction{
			Commands: []kv.Command{incr("{tag}n", 1), taking("{tag}0"), taking("{tag}1"), taking("{tag}2")},
		}
		_, err := s.node.Transact(within(t, patience), tx)
		wantKind(t, err, kv.TooLarge)
		for i := range 3 {
			if got := s.get(fmt.Sprint("{tag}", i)); got != long {
				t.Errorf("through %s: after the refusal %d bytes are left of value %d", s.name, len(got), i)
			}
		}
		if got := s.get("{tag}n"); got != "" {
			t.Errorf("through %s: a part of what was refused was done: %q", s.name, got)
		}
		// Values that it makes itself count as well.
		tx = &kv.Transaction{Commands: []kv.Command{*put("{tag}new", long), reading("{tag}new"), reading("{tag}new"),
			taking("{tag}new")}}
		_, err = s.node.Transact(within(t, patience), tx)
		wantKind(t, err, kv.TooLarge)
		tx = &kv.Transaction{Commands: []kv.Command{taking("{tag}0"), taking("{tag}1"), *del("{tag}2")}}
		res, err := s.node.Transact(within(t, patience), tx)
		must(t, err)
		if len(res.Results) != 3 || string(res.Results[0].Item.Value.Data) != long ||
			string(res.Results[1].Item.Value.Data) != long {
			t.Errorf("through %s: %+v", s.name, res)
		}
	}
}

// A pipeline that empties keys with long values gets every value through every node, whatever they
// take together.
func TestLongValuesAreTakenOutWhole(t *testing.T) {
	t.Parallel()
	_, servers := of(t, 3, func(c *cluster) {
		c.maxValue, c.limits = 1000, Limits{ValueBytes: 1000, ReadBytes: 1000, UnitBytes: 1000, AnswerBytes: 8 << 10}
	})
	long := strings.Repeat("x", 1000)
	for _, s := range servers {
		for _, form := range []string{"key %d", "{tag}%d", "{other}%d", "{third}%d"} {
			var getEx, getDel []kv.Command
			for i := range 20 {
				key := fmt.Sprintf(form, i)
				s.write(put(key, long))
				getEx = append(getEx, kv.Command{Op: kv.OpExpire, Key: []byte(key),
					Expiry: kv.Expiry{Kind: kv.ExpiryIn, MS: 1_000_000}, ReturnOld: true})
				getDel = append(getDel, kv.Command{Op: kv.OpDelete, Key: []byte(key), ReturnOld: true})
			}
			for _, cmds := range [][]kv.Command{getEx, getDel} {
				for i, a := range s.node.Batch(within(t, patience), cmds) {
					if a.Err != nil || value(a) != long {
						t.Errorf("through %s, %v of "+form+": %d bytes, %v", s.name, cmds[i].Op, i, len(value(a)),
							a.Err)
					}
				}
			}
		}
	}
}

func TestLimitsThatDoNotFitTogetherAreRefused(t *testing.T) {
	t.Parallel()
	if l, err := (Limits{}).withDefaults(); err != nil || l.results() < kv.MaxTransactionCommands {
		t.Errorf("the defaults: %+v, %v", l, err)
	}
	for _, l := range []Limits{{AnswerBytes: 1 << 20}, {ReadBytes: -1}, {RequestBytes: 1 << 30}, {PageItems: 1000}} {
		if _, err := l.withDefaults(); err == nil {
			t.Errorf("%+v was taken", l)
		}
	}
}
