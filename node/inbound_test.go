package node

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pxkv/node/kv"
	"pxkv/node/meta"
	"pxkv/node/replica"
	"pxkv/node/rpc"
)

func TestWhoAsksTheWrongNodeIsToldWhoLeads(t *testing.T) {
	t.Parallel()
	_, servers := of(t, 4)
	leader, followers, others := holders(t, servers, "k")
	p := leader.node.Owner([]byte("k")).Partition
	write := put("k", "v").AppendTo([]byte{rpc.Version})
	read := readRequestOf([]byte("k"), kv.ReadOptions{}, 0)
	scan := (&scanRequest{partition: p, maxItems: 1, maxLen: 1}).encode()
	for kind, payload := range map[uint8][]byte{reqWrite: write, reqRead: read, reqScan: scan} {
		for _, to := range append(followers, others...) {
			b, err := ask(t, leader, to, kind, payload)
			must(t, err)
			_, e := rpc.DecodeAnswer(b)
			if e == nil || e.Kind != kv.NotLeader {
				t.Fatalf("request of kind %d to %s, which does not lead: %v", kind, to.name, e)
			}
			if to != others[0] && e.Leader != leader.id() {
				t.Errorf("request of kind %d to %s: it names %s as leader, not %s", kind, to.name, e.Leader,
					leader.id())
			}
		}
	}
	if got := leader.get("k"); got != "" {
		t.Errorf("a node that does not lead wrote %q", got)
	}
}

func TestANodeTellsWhatItLeads(t *testing.T) {
	t.Parallel()
	c, servers := of(t, 2)
	led := map[kv.PartitionID]string{}
	for _, s := range servers {
		b, err := ask(t, servers[0], s, reqLeading, nil)
		must(t, err)
		d, e := rpc.DecodeAnswer(b)
		for e == nil && len(d.Rest()) > 0 && d.Err() == nil {
			led[kv.PartitionID(d.Uvarint())] = s.name
		}
	}
	for _, p := range servers[0].node.Partitions() {
		if led[p.Partition] != p.Leader {
			t.Errorf("partition %s is led by %q, told was %q", p.Partition, p.Leader, led[p.Partition])
		}
	}
	if len(led) != c.partitions {
		t.Errorf("told was %v", led)
	}
	w := newCluster(t).joining("w")
	if b, err := ask(t, servers[0], w, reqLeading, nil); err != nil || !bytes.Equal(b, rpc.NewAnswer(0)) {
		t.Errorf("a node in no cluster answers %v, %v", b, err)
	}
}

// over returns another Node on the parts of a running one, whose requests to others end as
// the test says.
func (s *server) over(t *testing.T, end func(done func([]byte, error))) *Node {
	t.Helper()
	o := s.node.o
	o.Peers, o.Metrics = peersFunc(end), nil
	n, err := New(o)
	must(t, err)
	t.Cleanup(n.Stop)
	return n
}

// peersFunc implements Peers.
type peersFunc func(done func([]byte, error))

func (f peersFunc) Go(_ kv.NodeID, _ uint8, _ time.Time, _ []byte, done func([]byte, error)) { f(done) }

func TestMetaCommandsAreTakenOnlyFromWhomTheySpeakFor(t *testing.T) {
	t.Parallel()
	_, servers := of(t, 2)
	a, b := servers[0], servers[1]
	before := a.machine.State()
	join := meta.Join{Member: meta.Member{ID: 99, Name: "stranger", Starts: 1, Incarnation: 1}}
	start := meta.Start{ID: a.id(), Starts: 1000, Incarnation: 1, Name: "a"}
	for name, cmd := range map[string][]byte{
		"a join of another":  join.Encode(),
		"a start of another": start.Encode(),
		"a change of state":  meta.SetState{ID: b.id(), From: kv.Active, To: kv.Leaving, Cause: kv.CauseLeft}.Encode(),
		"a removal":          meta.Remove{ID: b.id()}.Encode(),
		"a placement": meta.Place{
			Expect: before.Epoch, Rows: [][]kv.NodeID{{b.id()}}, For: []kv.NodeID{b.id()},
		}.Encode(),
		"nothing":            nil,
		"what is no command": []byte(`{"version":1,"type":"start"}`),
		"a very long name": meta.Join{
			Member: meta.Member{ID: b.id(), Name: strings.Repeat("n", maxMetaBytes), Starts: 1},
		}.Encode(),
		"a command of tomorrow": []byte(`{"version":2,"type":"start","body":{}}`),
	} {
		for _, to := range servers {
			if got, err := ask(t, b, to, reqMeta, cmd); err == nil || !strings.Contains(err.Error(), "refused") {
				t.Errorf("%s from %s to %s: %q, %v", name, b.name, to.name, got, err)
			}
		}
	}
	if a.machine.State() != before {
		t.Error("a refused command changed the state")
	}
	// What the joining node wrote there itself does not count: nobody replaces a living member.
	join.Member.Name, join.ReplaceDead = "b", b.id()
	got, err := a.askAs(t, 99, join.Encode())
	must(t, err)
	if res, err := meta.DecodeResult(got); err != nil || res.Refused == nil || res.Refused.Code != meta.NameInUse {
		t.Errorf("a join that claims a living member's name: %+v, %v", res, err)
	}
	if s := a.machine.State(); len(s.Members) != 2 {
		t.Errorf("members are %+v", s.Members)
	}
}

// askAs sends a meta command as a node that does not run.
func (s *server) askAs(t *testing.T, from kv.NodeID, cmd []byte) ([]byte, error) {
	t.Helper()
	b, err := ask(t, &server{identity: identityOf(from)}, s, reqMeta, cmd)
	if err != nil {
		return nil, err
	}
	d, e := rpc.DecodeAnswer(b)
	if e != nil {
		return nil, e
	}
	return d.Rest(), nil
}

func TestAStoppingNodeRefuses(t *testing.T) {
	t.Parallel()
	c, servers := of(t, 2)
	a, b := servers[0], servers[1]
	b.node.Stop()
	for kind := range uint8(7) {
		got, err := ask(t, a, b, kind, nil)
		must(t, err)
		if _, e := rpc.DecodeAnswer(got); e == nil || e.Kind != kv.Unavailable ||
			!strings.Contains(e.Text, "shutting down") {
			t.Errorf("request of kind %d: %v", kind, e)
		}
	}
	// Its own requests are not tried again either.
	key := keyLedBy(t, a, "k") // soon it leads nothing
	c.net.isolate(b)
	began := time.Now()
	_, err := b.node.Read(within(t, patience), []byte(key), kv.ReadOptions{})
	wantKind(t, err, kv.Unavailable)
	if took := time.Since(began); took > patience/2 {
		t.Errorf("gave up after %v", took)
	}
}

// A node closes its store only when nobody reads it any more, however busy it is.
func TestStoppingWaitsForAnswersUnderWay(t *testing.T) {
	t.Parallel()
	c, servers := of(t, 2, replicas(1), partitions(4))
	lister, holder := servers[0], servers[1]
	holder.fill(numbered(tag(t, holder), 4*maxPageItems), func(string) string { return strings.Repeat("x", 200) })
	payload := (&scanRequest{
		partition: holder.node.Owner([]byte(tag(t, holder))).Partition, maxItems: maxPageItems, maxLen: maxPageBytes,
	}).encode()
	var asked, answered atomic.Int64
	for range 2000 {
		asked.Add(1)
		lister.station.Go(holder.id(), reqScan, time.Now().Add(patience), payload, func([]byte, error) {
			answered.Add(1)
		})
	}
	for holder.station.open.Load() < 200 && answered.Load() < asked.Load() {
		runtime.Gosched() // until many are under way at once
	}
	holder.end(false)
	eventually(t, "every request ends", func() error {
		if a, b := asked.Load(), answered.Load(); a != b {
			return fmt.Errorf("%d of %d have", b, a)
		}
		return nil
	})
	if n := c.net.requests(reqScan); n == 0 {
		t.Error("nothing was asked")
	}
}

func TestUnreadableFramesAreCountedAndDropped(t *testing.T) {
	t.Parallel()
	_, servers := of(t, 2)
	a, b := servers[0], servers[1]
	before := b.counter("pxkv_peer_malformed_total")
	head := append([]byte{replica.FrameFormat.Writes}, make([]byte, 8)...) // at position 0
	frames := [][]byte{nil, head[:1], head[:8], slices.Concat(head, []byte{99, 0, 0, 0, 0, 1, 1}),
		slices.Concat(head, []byte{1, 0, 0}), slices.Concat(head, bytes.Repeat([]byte{0xff}, 100))}
	for _, f := range frames {
		if err := b.node.HandleFrame(a.id(), f); err != nil {
			t.Errorf("a frame that is only damaged ends the talk with its sender: %v", err)
		}
	}
	if n := b.counter("pxkv_peer_malformed_total") - before; int(n) != len(frames) {
		t.Errorf("%v malformed frames were counted, want %d", n, len(frames))
	}
	// Well-formed ones for replicas that are not here: partitions that do not exist, other ids.
	for _, p := range []uint32{0, 1 << 20, uint32(kv.Meta) - 1, uint32(kv.Meta)} {
		for kind := replica.RaftMessage; kind <= replica.Gone; kind++ {
			frame := append(binary.BigEndian.AppendUint32(append(slices.Clone(head), byte(kind)), p), 200, 100, 200,
				101)
			if kind == replica.RaftMessage {
				frame = append(frame, 8, 0, 200, 1, 1, 0, 0) // a heartbeat of a high term
			}
			must(t, b.node.HandleFrame(a.id(), frame))
		}
	}
	if n := b.counter("pxkv_peer_malformed_total") - before; int(n) != len(frames) {
		t.Errorf("%v well-formed frames count as malformed", int(n)-len(frames))
	}
	servers[0].write(put("k", "v"))
	if got := b.get("k"); got != "v" {
		t.Errorf("read %q", got)
	}
}

// A frame of another version is no accident: all that its sender says is like it.
func TestAFrameOfAnotherVersionIsToldApart(t *testing.T) {
	t.Parallel()
	_, servers := of(t, 2)
	a, b := servers[0], servers[1]
	own := int(replica.FrameFormat.Writes)
	for _, v := range []int{0, own - 1, own + 1, 255} {
		err := b.node.HandleFrame(a.id(), append([]byte{byte(v)}, make([]byte, 20)...))
		if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("version %d, this node reads version %d", v, own)) {
			t.Errorf("a frame of version %d: %v", v, err)
		}
	}
}

// The places of the formats are part of the handshake: peers of other releases compare by them. When a
// format takes a new version, nodes that read only the former one are not talked to.
func TestFormatsKeepTheirPlaces(t *testing.T) {
	t.Parallel()
	want := []kv.Format{
		{Name: "raft frames", Writes: 4}, {Name: "requests", Writes: 1},
		{Name: "log entries", Writes: 4, Oldest: 2, Newest: 5},
		{Name: "commands of the meta group", Writes: 1, Oldest: 1, Newest: 2}, {Name: "snapshot headers", Writes: 3},
		{Name: "snapshot streams", Writes: 1},
	}
	if got := Formats(false, 1); !slices.Equal(got, want) {
		t.Errorf("formats are %+v", got)
	}
	var r replica.SnapshotRequest
	for what, first := range map[string][2]byte{"a request": {readRequestOf(nil, kv.ReadOptions{}, 0)[0],
		Formats(false, 1)[1].Writes}, "a snapshot header": {r.AppendTo(nil)[0], Formats(false, 1)[4].Writes}} {
		if first[0] != first[1] {
			t.Errorf("%s begins with version %d, and the handshake says %d", what, first[0], first[1])
		}
	}
}

// Other software, or a broken node, may send anything: there is an answer or an error, never a
// panic or silence, and the node serves on.
func TestMalformedRequestsFromPeers(t *testing.T) {
	t.Parallel()
	c, servers := of(t, 1)
	a := servers[0]
	keys := numbered("{x}", 300)
	a.fill(keys, itself)
	const stranger = kv.NodeID(99)
	p := a.node.Owner([]byte("{x}")).Partition
	sound := map[uint8][][]byte{
		reqWrite: {
			put("k", "value").AppendTo([]byte{rpc.Version}), create("k", "v").AppendTo([]byte{rpc.Version}),
			del("k").AppendTo([]byte{rpc.Version}),
			(&kv.Command{
				Op: kv.OpDelete, Key: []byte("k"), Cond: kv.Condition{Kind: kv.CondVersion, Version: 1 << 40},
			}).AppendTo([]byte{rpc.Version}),
		},
		reqRead: {
			readRequestOf([]byte("k"), kv.ReadOptions{}, 0),
			readRequestOf([]byte(keys[0]), kv.ReadOptions{Consistency: kv.Stale, MinIndex: 3}, 0),
		},
		reqScan: {(&scanRequest{
			partition: p, from: []byte(keys[7]), prefix: []byte("{x}"), maxItems: 5, maxLen: 1 << 10,
		}).encode()},
		reqMeta: {
			meta.Join{Member: meta.Member{ID: stranger, Name: "stranger", Starts: 1, Incarnation: 1}}.Encode(),
			meta.Start{
				ID: stranger, Starts: 2, Incarnation: 2, Name: "stranger",
			}.Encode(), meta.Remove{ID: stranger}.Encode(),
		},
		reqSteps: {
			encodeSteps(reqSteps, []*step{
				{partition: p, keys: []wanted{{key: []byte(keys[0])}, {key: []byte(keys[1])}}},
				{partition: p, unit: put("{x}k", "v").AppendTo(nil)},
				{partition: p, keys: []wanted{{key: []byte(keys[0])}}, unit: (&kv.Transaction{
					Watches: []kv.Watch{{Key: []byte("{x}w"), Version: 3}},
					Commands: []kv.Command{incr("{x}n", 1), reading("{x}n"),
						{Op: kv.OpRename, Key: []byte("{x}n"), NewKey: []byte("{x}m")}},
				}).AppendTo(nil)},
			}),
		},
		reqReads: {
			encodeSteps(reqReads, []*step{
				{partition: p, keys: []wanted{{key: []byte(keys[0]), part: kv.Part{Kind: kv.NoValue}},
					{key: []byte(keys[1]), part: kv.Part{
						Kind: kv.RangeOfValue, Start: -3, End: 1 << 40,
					}}, {key: []byte(keys[2])}}},
			}),
		},
		reqCount: {binary.AppendVarint(binary.AppendUvarint([]byte{rpc.Version}, uint64(p)), allSlots),
			binary.AppendVarint(binary.AppendUvarint([]byte{rpc.Version}, uint64(p)), 40)},
		reqWalk:    {(&walkRequest{partition: p, count: 5}).encode()},
		reqWitness: {binary.BigEndian.AppendUint64([]byte{rpc.Version}, uint64(stranger))},
		reqForming: {append([]byte{rpc.Version}, `{"name":"x"}`...)},
		reqLeading: {nil},
		reqVia: {viaOf(a.id(), reqLeading, nil),
			viaOf(stranger, reqRead, readRequestOf([]byte("k"), kv.ReadOptions{}, 0)),
			viaOf(stranger, reqVia, viaOf(stranger, reqLeading, nil))},
		0:   {nil, []byte("x")},
		200: {[]byte("x")},
	}
	const requests = 20_000
	rng := rand.New(rand.NewPCG(3, 4))
	endings := map[string]int{}
	before := a.counter("pxkv_peer_malformed_total")
	type answer struct {
		kind uint8
		b    []byte
		err  error
	}
	kinds := slices.Sorted(maps.Keys(sound))
	for done := 0; done < requests; {
		// A batch at a time, as a link delivers them.
		const batch = 100
		answers := make(chan answer, 2*batch)
		for range batch {
			kind := kinds[rng.IntN(len(kinds))]
			payload := mutate(rng, sound[kind][rng.IntN(len(sound[kind]))])
			a.node.HandleRequest(stranger, kind, time.Now().Add(50*time.Millisecond), payload,
				func(b []byte, err error) { answers <- answer{kind, b, err} })
		}
		timeout := time.After(patience)
		for range batch {
			select {
			case got := <-answers:
				endings[ending(t, got.kind, got.b, got.err)]++
			case <-timeout:
				t.Fatal("a request was never answered")
			}
		}
		done += batch
	}
	t.Logf("endings: %v", endings)
	if n := a.counter("pxkv_peer_malformed_total") - before; int(n) != endings["refused"] {
		t.Errorf("%v requests were counted as malformed, %d were refused", n, endings["refused"])
	}
	if endings["answer"] == 0 || endings["refused"] == 0 {
		t.Errorf("endings %v: want some of each", endings)
	}
	if res := a.write(put("after", "all")); res.Outcome != kv.Done || a.get("after") != "all" {
		t.Errorf("the node does not serve any more: %+v", res)
	}
	listed := 0
	for _, it := range a.listed(kv.ListQuery{Prefix: []byte("{x}")}) {
		if bytes.Equal(it.Key, it.Value.Data) {
			listed++
		}
	}
	if listed < len(keys)-c.partitions { // a mutated write may have hit one by chance
		t.Errorf("%d of %d keys are as they were", listed, len(keys))
	}
}

// ending sorts an answer; one that the asking node could not read is a fault.
func ending(t *testing.T, kind uint8, b []byte, err error) string {
	if err != nil {
		return "refused"
	}
	d, e := rpc.DecodeAnswer(b)
	switch {
	case e != nil && e.Kind == kv.Internal:
		t.Errorf("request of kind %d: %v", kind, e)
		return "internal"
	case e != nil:
		return e.Kind.String()
	}
	switch kind {
	case reqWrite:
		d.ReadResult()
		err = d.End()
	case reqRead:
		d.ReadReadResult()
		err = d.End()
	case reqScan:
		if _, ok := decodePage(d); !ok {
			err = rpc.ErrMalformed
		}
	case reqSteps, reqCount: // their lengths depend on what was asked
	case reqMeta:
		_, err = meta.DecodeResult(d.Rest())
	}
	if err != nil {
		t.Errorf("answer to a request of kind %d: %v", kind, err)
	}
	return "answer"
}

// mutate changes a payload a little: bytes, its end, pieces of it twice or not at all.
func mutate(rng *rand.Rand, sound []byte) []byte {
	b := bytes.Clone(sound)
	for range rng.IntN(4) {
		if len(b) == 0 {
			return []byte{byte(rng.Uint32())}
		}
		i := rng.IntN(len(b))
		j := i + rng.IntN(len(b)-i)
		switch rng.IntN(7) {
		case 0:
			b[i] = byte(rng.Uint32())
		case 1:
			b[i] ^= 1 << rng.IntN(8)
		case 2:
			b = b[:i]
		case 3:
			b = append(b, byte(rng.Uint32()))
		case 4:
			b = append(b[:j:j], b[i:]...)
		case 5:
			b = append(b[:i:i], b[j:]...)
		case 6: // a number as large as numbers get
			b = append(binary.AppendUvarint(b[:i:i], 1<<63|rng.Uint64()), b[j:]...)
		}
	}
	return b
}
