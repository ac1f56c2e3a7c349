package node

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pxkv/node/kv"
)

// askedParts are those that the tests ask for.
var askedParts = []kv.Part{
	{}, {Kind: kv.NoValue}, {Kind: kv.RangeOfValue, Start: 0, End: 43}, {Kind: kv.RangeOfValue, Start: -3, End: -1},
	{Kind: kv.RangeOfValue, Start: 7, End: 2},
}

func readingPart(key string, part kv.Part) kv.Command {
	return kv.Command{Op: kv.OpRead, Key: []byte(key), Part: part}
}

// A read of a part finds what a read of all would, wherever the value is, whoever is asked, and also
// when the leader is older and knows whole values only.
func TestPartsOfValues(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		option func(*cluster)
		fate   fate
	}{
		"lease": {func(*cluster) {}, deliver}, "quorum": {quorumReads, deliver},
		"older leader": {func(*cluster) {}, tooNew},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, servers := of(t, 3, partitions(4), test.option)
			c.net.setJudge(func(r request) fate {
				if r.kind == reqReads {
					return test.fate
				}
				return deliver
			})
			held := map[string]kv.Result{"{t}none": {}}
			values := map[string]string{}
			for _, size := range []int{0, 5, 100, 20 << 10, 300 << 10} { // some are too long for the cache
				key := fmt.Sprintf("{t}%d", size)
				values[key] = strings.Repeat("0123456789", size/10+1)[:size]
				cmd := expiring(key, values[key], time.Hour)
				cmd.Value.ContentType = "text/x-own"
				held[key] = servers[0].write(cmd)
			}
			check := func(s *server, key string, part kv.Part, found bool, it *kv.Item, length int64) {
				t.Helper()
				want, there := values[key]
				switch {
				case found != there:
					t.Errorf("%s through %s: found %v, want %v", key, s.name, found, there)
				case !there:
				case string(it.Value.Data) != string(part.Of([]byte(want))) || length != int64(len(want)):
					t.Errorf("%s through %s, part %+v: %d bytes of %d, want %d of %d", key, s.name, part,
						len(it.Value.Data), length, len(part.Of([]byte(want))), len(want))
				case it.Version != held[key].Version || it.Deadline != held[key].Deadline ||
					it.Value.ContentType != "text/x-own" || it.Value.Kind != kv.String:
					t.Errorf("%s through %s, part %+v: %+v, want %+v", key, s.name, part, it, held[key])
				}
			}
			for _, s := range servers {
				var all []kv.Command
				for key := range held {
					for _, part := range askedParts {
						r, err := s.node.Read(within(t, patience), []byte(key), kv.ReadOptions{Part: part})
						must(t, err)
						check(s, key, part, r.Found, &r.Item, r.Length)
						r, err = s.node.Read(within(t, patience), []byte(key), kv.ReadOptions{
							Part: part, Consistency: kv.Stale, MinIndex: held[key].Receipt.Index,
						})
						must(t, err)
						check(s, key, part, r.Found, &r.Item, r.Length)
						all = append(all, readingPart(key, part))
					}
				}
				tx, err := s.node.Transact(within(t, patience), &kv.Transaction{Commands: all})
				must(t, err)
				answers := s.batch(all...)
				// Behind a write of their keys, which does not come about, they are read in the log.
				var written []kv.Command
				for i := range all {
					written = append(written, kv.Command{
						Op: kv.OpDelete, Key: all[i].Key, Cond: kv.Condition{Kind: kv.CondVersion, Version: 1 << 60},
					}, all[i])
				}
				behind := s.batch(written...)
				for i := range all {
					for _, r := range []*kv.Result{&tx.Results[i], &answers[i].Result, &behind[2*i+1].Result} {
						length := r.Number
						if all[i].Part.Kind == kv.WholeValue && r.Item != nil {
							length = int64(len(r.Item.Value.Data))
						}
						check(s, string(all[i].Key), all[i].Part, r.Outcome == kv.Done, r.Item, length)
					}
				}
			}
		})
	}
}

// What asks for no value meets no limit of answers, and one request brings it.
func TestKeysAreLookedAtWithoutTheirValues(t *testing.T) {
	t.Parallel()
	c, servers := of(t, 3, partitions(1), func(c *cluster) {
		c.maxValue, c.limits = 1000, Limits{ValueBytes: 1000, ReadBytes: 1000, UnitBytes: 1000, BatchBytes: 2000,
			TransactionBytes: 2500, AnswerBytes: 64 << 10}
	})
	_, followers, _ := holders(t, servers, "k")
	s := followers[0]
	var cmds []kv.Command
	for i := range 50 {
		key := fmt.Sprint("k", i%7)
		s.write(put(key, strings.Repeat("v", 1000)))
		cmds = append(cmds, readingPart(key, kv.Part{Kind: kv.NoValue}))
	}
	before := c.net.requests(reqReads)
	for _, a := range s.batch(cmds...) {
		if a.Result.Outcome != kv.Done || a.Result.Number != 1000 || len(a.Result.Item.Value.Data) > 0 {
			t.Fatalf("%+v", a)
		}
	}
	// One, but for a change of leaders.
	if n := c.net.requests(reqReads) - before; n < 1 && !s.loop.Leader(0).Self || n > 5 {
		t.Errorf("it took %d requests", n)
	}
}
