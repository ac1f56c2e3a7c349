package node

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pxkv/node/entry"
	"pxkv/node/kv"
	"pxkv/node/pack"
	"pxkv/node/rpc"
)

// packing lets each node pack by what its name is given.
func packing(by map[string]kv.Packing) func(*cluster) {
	return func(c *cluster) {
		c.packer = func(name string) *pack.Packer { return pack.NewPacker(by[name], 0) }
	}
}

var mixed = map[string]kv.Packing{"a": kv.Zlib, "b": kv.Zstd, "c": kv.NotPacked}

// text returns a value of so many bytes that becomes shorter when it is packed.
func longText(seed string, size int) string {
	return strings.Repeat(seed+" is a part of a long text; ", size/len(seed)+1)[:size]
}

// stored tells how a key's value is stored on each node that has it.
func stored(t *testing.T, servers []*server, key string) (found []kv.Value) {
	t.Helper()
	for _, s := range servers {
		p := s.node.Owner([]byte(key)).Partition
		rec, ok, err := s.db.NewApply().Get(p, []byte(key))
		must(t, err)
		if ok {
			found = append(found, rec.Value)
		}
	}
	return found
}

// Nodes that pack by different algorithms, or not at all, are one cluster, whose clients see nothing of it: neither how
// a value was written nor whoever is asked makes a difference. It does on the disk.
func TestNodesThatPackDifferently(t *testing.T) {
	t.Parallel()
	_, servers := of(t, 3, partitions(4), packing(mixed))
	want := map[string]string{}
	for _, size := range []int{10, 256, 257, 5_000, 300_000} { // some are too long for the cache
		for _, s := range servers {
			for how, write := range map[string]func(cmds ...*kv.Command){
				"alone": func(cmds ...*kv.Command) {
					for _, c := range cmds {
						s.write(c)
					}
				},
				"batch": func(cmds ...*kv.Command) {
					var all []kv.Command
					for _, c := range cmds {
						all = append(all, *c)
					}
					s.batch(all...)
				},
				"transaction": func(cmds ...*kv.Command) {
					tx := &kv.Transaction{}
					for _, c := range cmds {
						tx.Commands = append(tx.Commands, *c)
					}
					_, err := s.node.Transact(within(t, patience), tx)
					must(t, err)
				},
			} {
				key := fmt.Sprintf("{%s.%d}%s", s.name, size, how)
				want[key], want[key+"2"] = longText(key, size), longText(key+"2", size)
				write(put(key, want[key]), put(key+"2", want[key+"2"]))
				for _, v := range stored(t, servers, key) {
					if by := mixed[s.name]; size > 256 && v.Packing != by || size <= 256 && v.Packing != kv.NotPacked ||
						v.Length() != size || by != kv.NotPacked && size > 256 && len(v.Data) > size-size/16 {
						t.Errorf("%s of %d bytes, through %s: %d are stored by %v", how, size, s.name, len(v.Data),
							v.Packing)
					}
				}
			}
		}
	}
	for _, s := range servers {
		var reads []kv.Command
		keys := make([]string, 0, len(want))
		for key := range want {
			keys = append(keys, key)
		}
		slices.Sort(keys)
		for _, key := range keys {
			r, err := s.node.Read(within(t, patience), []byte(key), kv.ReadOptions{})
			if err != nil || string(r.Item.Value.Data) != want[key] {
				t.Errorf("%s reads %d bytes of %q, want %d: %v", s.name, len(r.Item.Value.Data), key, len(want[key]),
					err)
			}
			r, err = s.node.Read(within(t, patience), []byte(key), kv.ReadOptions{
				Consistency: kv.Stale, MinIndex: r.Receipt.Index,
				Part: kv.Part{Kind: kv.RangeOfValue, Start: 3, End: 9},
			})
			if err != nil || string(r.Item.Value.Data) != want[key][3:10] || r.Length != int64(len(want[key])) {
				t.Errorf("%s reads %q of %d bytes, of %q, %v", s.name, r.Item.Value.Data, r.Length, key, err)
			}
			reads = append(reads, reading(key), readingPart(key, kv.Part{Kind: kv.NoValue}))
		}
		for i, a := range s.batch(reads...) {
			if key := keys[i/2]; i%2 == 0 && value(a) != want[key] ||
				i%2 == 1 && a.Result.Number != int64(len(want[key])) {
				t.Errorf("%s reads %d bytes of %q in a batch", s.name, len(value(a)), key)
			}
		}
		for _, q := range []kv.ListQuery{
			{}, {KeysOnly: true}, {Filter: kv.Filter{Type: "string"}}, {Filter: kv.Filter{Glob: "*"}},
			{Filter: kv.Filter{Where: `size == 5000`}}, {Filter: kv.Filter{Where: `value contains "long text"`}},
		} {
			items, err := collect(s.node.List(within(t, patience), q))
			must(t, err)
			n := 0
			for _, v := range want {
				if strings.HasPrefix(q.Filter.Where, "size") && len(v) != 5000 ||
					strings.HasPrefix(q.Filter.Where, "value") && len(v) < 256 {
					continue
				}
				n++
			}
			for _, it := range items {
				w := want[string(it.Key)]
				if string(it.Value.Data) != w != q.KeysOnly || it.Value.Packing != kv.NotPacked {
					t.Errorf("%s lists %d bytes of %q, want %d", s.name, len(it.Value.Data), it.Key, len(w))
				}
			}
			if len(items) != n {
				t.Errorf("%s lists %d items for %+v, want %d", s.name, len(items), q, n)
			}
		}
	}
}

// What was packed stays readable whatever a node is told at its next start, and is written anew as it is told then.
func TestPackingChangesAtARestart(t *testing.T) {
	t.Parallel()
	by := map[string]kv.Packing{"a": kv.Zstd}
	c, servers := of(t, 1, packing(by))
	s := servers[0]
	for i, next := range []kv.Packing{kv.Zlib, kv.NotPacked, kv.Zstd, kv.NotPacked} {
		key := fmt.Sprint("k", i)
		s.write(put(key, longText(key, 5000)))
		if v := stored(t, []*server{s}, key)[0]; v.Packing != by["a"] {
			t.Errorf("%s is stored by %v, want %v", key, v.Packing, by["a"])
		}
		if i%2 == 0 {
			s.stop()
		} else {
			s.kill()
		}
		by["a"] = next
		s = s.restart().awaitStart()
		c.settled(1)
		for j := range i + 1 {
			if key := fmt.Sprint("k", j); s.get(key) != longText(key, 5000) {
				t.Errorf("%s is not what it was after restart %d", key, i)
			}
		}
	}
	if n := s.write(new(appending("k0", "y"))).Number; n != 5001 {
		t.Errorf("appended to, a packed value has %d bytes", n)
	}
	if v := stored(t, []*server{s}, "k0")[0]; v.Packing != kv.NotPacked {
		t.Errorf("what APPEND has made is stored by %v", v.Packing)
	}
}

// A node that gets a replica gets what is packed as it is, and serves it.
func TestPackedValuesTravelInSnapshots(t *testing.T) {
	t.Parallel()
	c, servers := of(t, 1, packing(mixed))
	for i := range 40 {
		key := fmt.Sprint("k", i)
		servers[0].write(put(key, longText(key, 3000)))
	}
	servers = append(servers, c.joining("b"), c.joining("c"))
	c.settled(3)
	for i := range 40 {
		key := fmt.Sprint("k", i)
		var found []kv.Value
		eventually(t, "all have it", func() error {
			if found = stored(t, servers, key); len(found) != len(servers) {
				return fmt.Errorf("%s is on %d nodes", key, len(found))
			}
			return nil
		})
		for _, v := range found {
			if v.Packing != kv.Zlib || string(v.Data) != string(found[0].Data) {
				t.Errorf("%s: %d bytes by %v", key, len(v.Data), v.Packing)
			}
		}
		for _, s := range servers {
			if s.get(key) != longText(key, 3000) {
				t.Errorf("%s reads something else of %s", s.name, key)
			}
		}
	}
}

// Limits are about what clients know, which is not how long a value is once it is packed.
func TestLimitsAreOfPlainValues(t *testing.T) {
	t.Parallel()
	_, servers := of(t, 3, packing(mixed), func(c *cluster) {
		c.maxValue, c.limits = 1000, Limits{ValueBytes: 1000, ReadBytes: 1000, UnitBytes: 1000, BatchBytes: 2000,
			TransactionBytes: 2500, AnswerBytes: 64 << 10}
	})
	for _, s := range servers {
		key := "{t}" + s.name
		s.write(put(key, longText("k", 1000)))
		_, err := s.node.Write(within(t, patience), put(key, longText("k", 1001)))
		wantKind(t, err, kv.TooLarge)
		if res := s.write(new(appending(key, "y"))); res.Outcome != kv.ValueTooLarge {
			t.Errorf("through %s, appending to 1,000 bytes: %+v", s.name, res)
		}
		tx := &kv.Transaction{}
		for i := range 3 {
			key := fmt.Sprint("{t}", i)
			tx.Commands = append(tx.Commands, *put(key, longText("k", 1000)), reading(key))
		}
		_, err = s.node.Transact(within(t, patience), tx)
		wantKind(t, err, kv.TooLarge)
		if !strings.Contains(err.Error(), "nothing was done") {
			t.Errorf("through %s: %v", s.name, err)
		}
	}
}

// Room is asked for, for the plain value and, while it is packed, for both; what was not needed is given back.
func TestRoomOfPackedValuesIsGivenBack(t *testing.T) {
	t.Parallel()
	_, servers := of(t, 3, packing(map[string]kv.Packing{"a": kv.Zstd, "b": kv.Zstd, "c": kv.Zstd}))
	budget := kv.NewBudget(1 << 20)
	for _, s := range servers {
		// Twice the longer one is beyond six eighths of the budget.
		for size, by := range map[int]kv.Packing{100_000: kv.Zstd, 700_000: kv.NotPacked} {
			var held kv.Account
			held.Open(budget, kv.OfClients)
			ctx := kv.WithAccount(within(t, patience), &held)
			for how, do := range map[string]func(key string) error{
				"alone": func(key string) error {
					_, err := s.node.Write(ctx, put(key, longText("k", size)))
					return err
				},
				"batch": func(key string) error {
					cmds := []kv.Command{*put(key, longText("k", size)), incr(key+"n", 1)}
					for _, a := range s.node.Batch(ctx, cmds) {
						if a.Err != nil {
							return a.Err
						}
					}
					return nil
				},
			} {
				key := fmt.Sprintf("{%s}%s%d", s.name, how, size)
				if how == "batch" && by == kv.NotPacked {
					continue // which holds two of it, and has no room
				}
				must(t, do(key))
				for _, v := range stored(t, servers, key) {
					if v.Packing != by {
						t.Errorf("%s of %d bytes is stored by %v", how, size, v.Packing)
					}
				}
				held.GiveAll()
			}
			held.Close()
		}
	}
	if budget.Held() != 0 || budget.Refused() != 0 {
		t.Errorf("%d bytes are held for nobody, %d requests were refused", budget.Held(), budget.Refused())
	}
}

// What another node has packed is looked at before it is proposed: what is in a log unpacks.
func TestWhatDoesNotUnpackIsNotProposed(t *testing.T) {
	t.Parallel()
	_, servers := of(t, 1)
	a := servers[0]
	const stranger = kv.NodeID(99)
	p := a.node.Owner([]byte("{x}k")).Partition
	packer := pack.NewPacker(kv.Zstd, 0)
	long := longText("k", 5000)
	ask := func(kind uint8, payload []byte) ([]byte, error) {
		type answer struct {
			b   []byte
			err error
		}
		got := make(chan answer, 1)
		a.node.HandleRequest(stranger, kind, time.Now().Add(patience), payload, func(b []byte, err error) {
			got <- answer{slices.Clone(b), err}
		})
		x := <-got
		return x.b, x.err
	}
	unit := func(c *kv.Command) []byte {
		b := binary.AppendUvarint([]byte{rpc.Version}, 1)
		b = binary.AppendUvarint(b, uint64(p))
		b = binary.AppendUvarint(b, 0)
		tx := kv.Transaction{Commands: []kv.Command{incr("{x}n", 1), *c}, AnswerBytes: 1000, Cut: true}
		return kv.AppendBytes(b, tx.AppendTo(nil))
	}
	for what, c := range map[string]struct {
		change func(*kv.Value)
		kind   kv.ErrorKind // 0: it is taken
	}{
		"sound":        {func(*kv.Value) {}, 0},
		"damaged":      {func(v *kv.Value) { v.Data[len(v.Data)-6] ^= 4 }, kv.Unavailable},
		"longer":       {func(v *kv.Value) { v.Plain-- }, kv.Unavailable},
		"shorter":      {func(v *kv.Value) { v.Plain++ }, kv.Unavailable},
		"too long":     {func(v *kv.Value) { v.Plain = a.c.maxValue + 1 }, kv.TooLarge},
		"of no length": {func(v *kv.Value) { v.Plain = kv.DefaultMaxValueBytes + 1 }, kv.Internal},
		"unknown":      {func(v *kv.Value) { v.Packing = 3 }, kv.Internal},
	} {
		cmd := put("{x}"+what, long)
		cmd.Value = packer.Pack(cmd.Value)
		c.change(&cmd.Value)
		for kind, payload := range map[uint8][]byte{
			reqWrite: cmd.AppendTo([]byte{rpc.Version}), reqSteps: unit(cmd),
		} {
			b, err := ask(kind, payload)
			var e *kv.Error
			if err == nil {
				_, e = rpc.DecodeAnswer(b)
			}
			switch {
			case (err != nil) != (c.kind == kv.Internal):
				t.Errorf("%s, kind %d: %v", what, kind, err)
			case err != nil: // it was not understood
			case c.kind == 0 && e != nil:
				t.Errorf("%s, kind %d: %v", what, kind, e)
			case c.kind != 0 && (e == nil || e.Kind != c.kind):
				t.Errorf("%s, kind %d: %v, want %v", what, kind, e, c.kind)
			case c.kind == kv.Unavailable && !strings.Contains(e.Text, "partition "+p.String()):
				t.Errorf("%s, kind %d: %v does not name partition %v", what, kind, e, p)
			}
		}
		want := ""
		if c.kind == 0 {
			want = long
		}
		if got := a.get("{x}" + what); got != want {
			t.Errorf("%s: %d bytes are stored", what, len(got))
		}
	}
}

// A request that would unpack to far more than anybody asks for at once is refused before any of it is.
func TestManyBombsInOneRequest(t *testing.T) {
	t.Parallel()
	_, servers := of(t, 1, func(c *cluster) { c.maxValue = kv.DefaultMaxValueBytes })
	a := servers[0]
	value := kv.Value{Kind: kv.String, Data: make([]byte, kv.DefaultMaxValueBytes-1000)}
	value = pack.NewPacker(kv.Zstd, 0).Pack(value)
	steps := func(n int) (all []*step) {
		for i := range n {
			p := kv.PartitionID(i)
			tx := kv.Transaction{AnswerBytes: 1000, Cut: true}
			for len(tx.Commands) < 1 {
				key := fmt.Append(nil, "k", time.Now().UnixNano())
				if a.node.Owner(key).Partition == p {
					tx.Commands = append(tx.Commands, kv.Command{Op: kv.OpPut, Key: key, Value: value})
				}
			}
			all = append(all, &step{partition: p, unit: tx.AppendTo(nil)})
		}
		return all
	}
	for n, sound := range map[int]bool{2: true, 3: false} {
		payload := encodeSteps(reqSteps, steps(n))
		_, err := a.node.decodeStepRequest(reqSteps, kv.NewDecoder(payload[1:]))
		if (err == nil) != sound {
			t.Errorf("%d values of 8 MiB in %d bytes: %v", n, len(payload), err)
		}
	}
}

// Only an entry with packed values in it takes the version that says so, and only who packs tells of it.
func TestEntriesSayThatTheyPack(t *testing.T) {
	t.Parallel()
	for _, packs := range []bool{false, true} {
		f := Formats(packs, 1)[2]
		p := entry.Payload{Count: 1, Packs: packs}
		b := p.AppendTo(nil)
		if f.Writes != b[0] || !f.Reads(4) || !f.Reads(5) || f.Reads(6) || f.Writes == 4 == packs {
			t.Errorf("packs %v: an entry begins with %d, and the handshake says %+v", packs, b[0], f)
		}
		cmd := put("k", longText("k", 1000))
		if packs {
			cmd.Value = pack.NewPacker(kv.Zlib, 0).Pack(cmd.Value)
		}
		got, err := entry.Decode(cmd.AppendTo(b))
		if err != nil || got.Packs != packs {
			t.Fatalf("packs %v: %+v, %v", packs, got, err)
		}
		must(t, got.Units(func(c kv.Command) error {
			if c.Value.Packing != cmd.Value.Packing || c.Value.Length() != 1000 ||
				string(c.Value.Data) != string(cmd.Value.Data) {
				t.Errorf("packs %v: %d bytes by %v of %d", packs, len(c.Value.Data), c.Value.Packing, c.Value.Plain)
			}
			return nil
		}, nil))
	}
	// In the log of a group, and on its way there.
	_, servers := of(t, 3, packing(mixed))
	before := func(s *server) [4]float64 { return packed(t, s) }
	for _, s := range servers {
		was := before(s)
		s.write(put("k", longText("k", 1000)))
		s.write(put("short", "v"))
		s.batch(*put("{k}2", longText("k", 1000)), incr("{k}n", 1))
		now, want := before(s), [4]float64{2, 0, 2000, 0}
		if mixed[s.name] == kv.NotPacked {
			want = [4]float64{}
		}
		for i := range want {
			if got := now[i] - was[i]; i < 3 && got != want[i] || i == 3 && (got > 1000 || got > 0 != (want[2] > 0)) {
				t.Errorf("%s counts %v, before %v", s.name, now, was)
			}
		}
	}
}

// packed returns a node's metrics: values packed and left, bytes before and after.
func packed(t *testing.T, s *server) (out [4]float64) {
	t.Helper()
	families, err := s.registry.Gather()
	must(t, err)
	places := map[string]int{"packed": 0, "left": 1, "before": 2, "after": 3}
	n := 0
	for _, f := range families {
		if strings.HasPrefix(f.GetName(), "pxkv_compression_") {
			for _, m := range f.GetMetric() {
				out[places[m.GetLabel()[0].GetValue()]] = m.GetCounter().GetValue()
				n++
			}
		}
	}
	if n != 4 {
		t.Errorf("%d metrics are there", n)
	}
	return out
}
