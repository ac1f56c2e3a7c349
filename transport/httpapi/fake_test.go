package httpapi

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"math"
	"slices"
	"strconv"
	"sync"

	"pxkv/node/kv"
	"pxkv/node/match"
)

// fakeService is a linearizable map with versions: what a whole cluster looks like from
// its server.
type fakeService struct {
	ageless bool // it cannot tell how old stale reads are
	mu      sync.Mutex
	items   map[string]kv.Item
	version uint64
	index   map[kv.PartitionID]uint64
	writes  int
	ordered string // the last change of members that was asked for, as it came

	// Set before use, to make the next calls end otherwise.
	failWrite, failRead, failList, notReady error
	failAfter                               int // items before failList
	onWrite                                 func(ctx context.Context, cmd *kv.Command)
	onRead                                  func(ctx context.Context, opt kv.ReadOptions)
	list                                    func(ctx context.Context, q kv.ListQuery) iter.Seq2[kv.Item, error]
}

const fakeModified = 1_767_225_600_000 // 2026-01-01 00:00:00 UTC

func newFake() *fakeService {
	return &fakeService{items: map[string]kv.Item{}, index: map[kv.PartitionID]uint64{}}
}

func (f *fakeService) receipt(key []byte) kv.Receipt {
	p := kv.PartitionID(len(key) % 4)
	return kv.Receipt{Partition: p, Index: 100 + f.index[p], Node: "n1"}
}

// Batch stops time, so that a deadline in it has not come yet.
func (f *fakeService) Batch(ctx context.Context, cmds []kv.Command) []kv.Answer {
	answers := make([]kv.Answer, len(cmds))
	for i := range cmds {
		a := &answers[i]
		var err error
		if cmds[i].Op == kv.OpRead {
			var r kv.ReadResult
			if r, err = f.Read(ctx, cmds[i].Key, kv.ReadOptions{}); r.Found {
				a.Result = kv.Result{Outcome: kv.Done, Version: r.Item.Version, Deadline: r.Item.Deadline,
					Item: &r.Item, Receipt: r.Receipt}
			} else {
				a.Result = kv.Result{Outcome: kv.NotFound, Receipt: r.Receipt}
			}
		} else {
			a.Result, err = f.Write(ctx, &cmds[i])
		}
		if err != nil {
			a.Result, a.Err = kv.Result{}, err.(*kv.Error)
		}
	}
	return answers
}

func (f *fakeService) Write(ctx context.Context, cmd *kv.Command) (kv.Result, error) {
	if f.onWrite != nil {
		f.onWrite(ctx, cmd)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.failWrite != nil {
		return kv.Result{}, f.failWrite
	}
	f.writes++
	f.index[kv.PartitionID(len(cmd.Key)%4)]++
	old, exists := f.items[string(cmd.Key)]
	res := kv.Result{Outcome: kv.Done, Version: old.Version, Deadline: old.Deadline, Receipt: f.receipt(cmd.Key)}
	met := map[kv.CondKind]bool{
		kv.CondNone: true, kv.CondAbsent: !exists, kv.CondPresent: exists,
		kv.CondVersion: exists && old.Version == cmd.Cond.Version,
	}[cmd.Cond.Kind]
	switch {
	case !met:
		res.Outcome = kv.ConditionFailed
	case cmd.Op == kv.OpDelete && !exists:
		res.Outcome = kv.NotFound
	case cmd.Op == kv.OpDelete:
		delete(f.items, string(cmd.Key))
		res.Version, res.Deadline = 0, 0
	default:
		v, deadline := cmd.Value, int64(0)
		v.Data = bytes.Clone(v.Data)
		switch cmd.Expiry.Kind {
		case kv.ExpiryIn:
			deadline = fakeModified + cmd.Expiry.MS
		case kv.ExpiryAt:
			deadline = cmd.Expiry.MS
		}
		if cmd.Op == kv.OpIncr {
			n, isInt := kv.ParseInt(old.Value.Data)
			switch {
			case exists && !isInt:
				res.Outcome = kv.NotInteger
			case n > 0 && cmd.Delta > math.MaxInt64-n:
				res.Outcome = kv.Overflow
			}
			if res.Outcome != kv.Done {
				return res, nil
			}
			res.Number, deadline = n+cmd.Delta, old.Deadline
			v = kv.Value{Kind: kv.JSON, Data: strconv.AppendInt(nil, res.Number, 10)}
		}
		f.version++
		f.items[string(cmd.Key)] = kv.Item{
			Key: bytes.Clone(cmd.Key), Value: v, Version: f.version, Modified: fakeModified, Deadline: deadline,
		}
		res.Version, res.Created, res.Deadline = f.version, !exists && !cmd.Blind, deadline
	}
	return res, nil
}

func (f *fakeService) Read(ctx context.Context, key []byte, opt kv.ReadOptions) (kv.ReadResult, error) {
	if f.onRead != nil {
		f.onRead(ctx, opt)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.failRead != nil {
		return kv.ReadResult{}, f.failRead
	}
	item, found := f.items[string(key)]
	res := kv.ReadResult{Found: found, Item: item, Length: int64(len(item.Value.Data)), Receipt: f.receipt(key)}
	res.Item.Value.Data = opt.Part.Of(item.Value.Data)
	if opt.Consistency == kv.Stale {
		res.StalenessMS = 42
		if f.ageless {
			res.StalenessMS = kv.StalenessUnknown
		}
	}
	return res, nil
}

func (f *fakeService) List(ctx context.Context, q kv.ListQuery) iter.Seq2[kv.Item, error] {
	if f.list != nil {
		return f.list(ctx, q)
	}
	return func(yield func(kv.Item, error) bool) {
		filter, e := match.Compile(q.Filter)
		if e != nil {
			yield(kv.Item{}, e)
			return
		}
		f.mu.Lock()
		items := make([]kv.Item, 0, len(f.items))
		for _, it := range f.items {
			if bytes.HasPrefix(it.Key, q.Prefix) && bytes.Compare(it.Key, q.From) >= 0 &&
				(len(q.To) == 0 || bytes.Compare(it.Key, q.To) < 0) &&
				(filter == nil || filter.Match(&it, fakeModified)) {
				items = append(items, it)
			}
		}
		f.mu.Unlock()
		slices.SortFunc(items, func(a, b kv.Item) int { return bytes.Compare(a.Key, b.Key) })
		for i, it := range items {
			if q.Limit > 0 && i == q.Limit {
				return
			}
			if f.failList != nil && i == f.failAfter {
				break
			}
			if q.KeysOnly {
				it.Value.Data = nil
			}
			if !yield(it, nil) {
				return
			}
		}
		if f.failList != nil {
			yield(kv.Item{}, f.failList)
		}
	}
}

func (f *fakeService) ClusterHealth(context.Context) kv.ClusterView {
	return kv.ClusterView{
		ID: 0x5eed, Name: "pxkv", Node: "n1", Epoch: 7, Version: 1, Partitions: 4, Replicas: 3, Ready: true,
		Health: &kv.HealthView{
			Served: kv.YesNo{Yes: true}, Complete: kv.YesNo{Yes: true},
			MayFail: kv.YesNo{Why: []string{"not n1: without it 4 partitions (0, 1, 2, 3) would not be served"}},
		},
		Members: []kv.MemberView{{
			ID: 0xa1, Name: "n1", State: kv.Active, Reachable: true, Replicas: 4, Wanted: 4, Leaders: 4,
			Addresses: kv.Addresses{
				HTTP: "10.0.0.1:8080", RESP: "10.0.0.1:6379", Peer: "10.0.0.1:7947", Gossip: "10.0.0.1:7946",
			},
		}},
	}
}

func (f *fakeService) SafeToStop(_ context.Context, name string) (kv.SafeView, error) {
	switch name {
	case "n1":
		return kv.SafeView{Node: name, Partitions: []kv.PartitionID{0, 3}, Meta: true}, nil
	case "n2":
		return kv.SafeView{Node: name, Safe: true, Partitions: []kv.PartitionID{}}, nil
	}
	return kv.SafeView{}, kv.Errorf(kv.Invalid, "no member is named %q", name)
}

// order is what it says to any order: n4 does as it is told, and the others are needed.
func (f *fakeService) order(name string, to kv.MemberState, why string) (kv.OrderView, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.failWrite != nil:
		return kv.OrderView{}, f.failWrite
	case name == "" || name == "n1":
		return kv.OrderView{Node: "n1", State: kv.Active, Epoch: 7, Refused: []string{why, "n2 does not answer"}}, nil
	case name == "n4" || name == "rack 1/n5+6":
		return kv.OrderView{Node: name, State: to, Epoch: 7}, nil
	}
	return kv.OrderView{}, kv.Errorf(kv.Invalid, "no member is named %q", name)
}

func (f *fakeService) Leave(
	_ context.Context, name string, replicas int, epoch kv.Epoch,
) (kv.OrderView, error) {
	f.ordered = fmt.Sprint("leave ", replicas, epoch)
	return f.order(name, kv.Leaving, "3 members would remain")
}

func (f *fakeService) CancelLeave(_ context.Context, name string) (kv.OrderView, error) {
	f.ordered = "stay"
	return f.order(name, kv.Active, "n1 is down")
}

func (f *fakeService) RemoveMember(_ context.Context, name string, replicas int) (kv.OrderView, error) {
	f.ordered = fmt.Sprint("remove ", replicas)
	return f.order(name, kv.Down, "n1 answers: stop it first")
}

func (f *fakeService) SetReplicas(_ context.Context, replicas int) (kv.OrderView, error) {
	f.ordered = fmt.Sprint("replicas ", replicas)
	if f.failWrite != nil {
		return kv.OrderView{}, f.failWrite
	}
	if replicas > 9 {
		return kv.OrderView{Epoch: 7, Replicas: 3, Refused: []string{
			fmt.Sprintf("%d replicas were asked for; 1 to 9 are possible", replicas)}}, nil
	}
	return kv.OrderView{Epoch: 7, Replicas: replicas}, nil
}

func (f *fakeService) Plan(_ context.Context, change, name string, replicas int) (kv.PlanView, error) {
	f.ordered = fmt.Sprint("plan ", change, " ", replicas)
	v := kv.PlanView{Change: change, Node: name, Epoch: 7, Moves: []kv.MoveView{}}
	switch {
	case name == "n9" && change != "add":
		return v, kv.Errorf(kv.Invalid, "no member is named %q", name)
	case name == "n1":
		v.Refused = []string{"n2 does not answer: start it again, or remove it first"}
	default:
		v.Moves = append(v.Moves, kv.MoveView{Partition: 3, From: []string{"n4"}, To: []string{"n2"}, Leader: "n2",
			Bytes: 1 << 20})
		v.Bytes, v.Seconds, v.AtRisk = 1<<20, 1, []kv.PartitionID{3}
	}
	return v, nil
}

func (f *fakeService) PartitionsHealth(context.Context) []kv.PartitionView {
	var out []kv.PartitionView
	for p := range 4 {
		out = append(out, kv.PartitionView{
			Partition: kv.PartitionID(p), Slots: [2]int{p * 4096, p*4096 + 4095}, Leader: "n1",
			Replicas: []kv.ReplicaView{{
				Node: "n1", ID: kv.ReplicaID(p + 1), Role: kv.RoleVoter, Answers: true, Caught: true,
			}},
			Complete: true, Wanted: []kv.PlacedView{{Node: "n1", ID: kv.ReplicaID(p + 1)}},
		})
	}
	return out
}

func (f *fakeService) Owner(key []byte) kv.OwnerView {
	p := len(key) % 4
	return kv.OwnerView{
		Key: string(key), Slot: p * 4096, Partition: kv.PartitionID(p), Leader: "n1",
		Wanted: []kv.PlacedView{{Node: "n1", ID: kv.ReplicaID(p + 1)}},
	}
}

func (f *fakeService) Ready() error { return f.notReady }

// manyItems lists n items of a few bytes without holding them.
func manyItems(n int, fail error) func(context.Context, kv.ListQuery) iter.Seq2[kv.Item, error] {
	return func(ctx context.Context, q kv.ListQuery) iter.Seq2[kv.Item, error] {
		return func(yield func(kv.Item, error) bool) {
			key := make([]byte, 0, 16)
			value := []byte("a value of thirty-two bytes ....")
			for i := range n {
				if ctx.Err() != nil {
					yield(kv.Item{}, ctx.Err())
					return
				}
				key = fmt.Appendf(key[:0], "key%09d", i)
				if !yield(kv.Item{Key: key, Value: kv.Value{Kind: kv.String, Data: value}, Version: 1}, nil) {
					return
				}
			}
			if fail != nil {
				yield(kv.Item{}, fail)
			}
		}
	}
}
