package node

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pxkv/node/kv"
	"pxkv/node/match"
)

// The keys of the schedules: registers, which all clients fight for; counters, which are never deleted; fresh
// ones, each of one client; and pairs, which only transactions write, with the same value.
const (
	registers = 6
	counters  = 4
	pairs     = 2
)

func (k *client) register() string { return fmt.Sprint("k/r", k.rng.IntN(registers)) }
func (k *client) counter() string  { return fmt.Sprint("k/c", k.rng.IntN(counters)) }
func (k *client) pair() string     { return fmt.Sprintf("k/{p%d}", k.rng.IntN(pairs)) }

func (k *client) someKey() string {
	switch x := k.rng.IntN(10); {
	case x < 2:
		return k.counter()
	case x < 4 && len(k.fresh) > 0:
		return k.fresh[k.rng.IntN(len(k.fresh))]
	case x < 5:
		return k.pair() + "a"
	}
	return k.register()
}

// draw draws a write.
func (k *client) draw() (kv.Command, operation) {
	k.values++
	value := fmt.Sprintf("v%d.%d%s", k.id, k.values, k.s.filling)
	key := k.register()
	seen, known := k.seen[key]
	var cmd *kv.Command
	op := operation{client: k.id, kind: doPut, key: key, value: value}
	switch x := k.rng.IntN(20); {
	case x < 6:
		op.key, op.kind = k.counter(), doIncr
		c := incr(op.key, 1)
		return c, op
	case x < 9:
		op.key = fmt.Sprintf("k/n%d.%d", k.id, k.values)
		k.fresh = append(k.fresh, op.key)
		cmd = put(op.key, value)
	case x < 10 && len(k.fresh) > 0:
		op.key, op.kind = k.fresh[k.rng.IntN(len(k.fresh))], doDelete
		cmd = del(op.key)
	case x < 12:
		op.kind = doDelete
		cmd = del(key)
	case x < 14:
		op.kind = doCreate
		cmd = create(key, value)
	case x < 17 && known && seen.version != 0:
		op.kind, op.expect = doSwap, seen.value
		cmd = put(key, value)
		cmd.Cond = kv.Condition{Kind: kv.CondVersion, Version: seen.version}
	default:
		cmd = put(key, value)
	}
	if k.rng.IntN(4) == 0 {
		cmd.ReturnOld, op.tellsOld = true, true
	}
	return *cmd, op
}

// answered takes a result into an operation, and remembers the version.
func (k *client) answered(op *operation, res *kv.Result) {
	if !res.Outcome.Known() {
		k.s.t.Errorf("a %s of %s was answered with nothing", kindNames[op.kind], op.key)
	}
	op.applied, op.created = res.Outcome == kv.Done, res.Created
	if res.Item != nil {
		op.found = string(res.Item.Value.Data)
	}
	switch op.kind {
	case doIncr:
		op.found = strconv.FormatInt(res.Number, 10)
		k.seen[op.key] = versioned{op.found, res.Version, res.Receipt.Index}
	case doGet:
		k.seen[op.key] = versioned{op.found, res.Version, res.Receipt.Index}
	case doPut, doCreate, doSwap:
		if op.applied {
			k.seen[op.key] = versioned{op.value, res.Version, res.Receipt.Index}
		}
	}
}

func (k *client) write(ctx context.Context, n *Node) {
	cmd, op := k.draw()
	op.call = k.s.h.now()
	res, err := n.Write(ctx, &cmd)
	if err == nil {
		k.answered(&op, &res)
	}
	k.s.h.ended(op, err)
}

func (k *client) read(ctx context.Context, n *Node, key string) {
	op := operation{client: k.id, kind: doGet, key: key, call: k.s.h.now()}
	res, err := n.Read(ctx, []byte(key), kv.ReadOptions{})
	if err == nil && res.Found {
		op.found = string(res.Item.Value.Data)
		k.seen[key] = versioned{op.found, res.Item.Version, res.Receipt.Index}
	}
	k.s.h.ended(op, err)
}

// stale reads a counter from any replica that has what this client has seen.
func (k *client) stale(ctx context.Context, n *Node, key string) {
	before := k.seen[key]
	res, err := n.Read(ctx, []byte(key), kv.ReadOptions{Consistency: kv.Stale, MinIndex: before.index})
	if !k.s.h.readEnded(err) || before.index == 0 {
		return
	}
	was, _ := strconv.Atoi(before.value)
	is, _ := strconv.Atoi(string(res.Item.Value.Data))
	if is < was || res.Receipt.Index < before.index {
		k.s.t.Errorf("%s was %d at index %d; a stale read from there on shows %d at index %d",
			key, was, before.index, is, res.Receipt.Index)
	}
}

func (k *client) batch(ctx context.Context, n *Node) {
	var cmds []kv.Command
	var ops []operation
	add := func(cmd kv.Command, op operation) { cmds, ops = append(cmds, cmd), append(ops, op) }
	for range 1 + k.rng.IntN(8) {
		if k.rng.IntN(3) == 0 {
			key := k.someKey()
			add(reading(key), operation{client: k.id, kind: doGet, key: key})
			continue
		}
		add(k.draw())
	}
	pair := k.pair()
	both := k.rng.IntN(3) == 0
	if both {
		for _, end := range []string{"a", "b"} {
			add(reading(pair+end), operation{client: k.id, kind: doGet, key: pair + end})
		}
	}
	call := k.s.h.now()
	answers := n.Batch(ctx, cmds)
	for i := range answers {
		ops[i].call = call
		if answers[i].Err == nil {
			k.answered(&ops[i], &answers[i].Result)
			k.s.h.ended(ops[i], nil)
		} else {
			k.s.h.ended(ops[i], answers[i].Err)
		}
	}
	if both && !k.s.tight { // else they may be of several moments
		k.alike(answers[len(answers)-2], answers[len(answers)-1])
	}
	// Operations on one key are done one after the other.
	last := map[string]int64{}
	for i, a := range answers {
		if key := ops[i].key; ops[i].kind == doIncr && a.Err == nil {
			if a.Result.Number <= last[key] {
				k.s.t.Errorf("a batch counted %s to %d after %d", key, a.Result.Number, last[key])
			}
			last[key] = a.Result.Number
		}
	}
}

// alike checks what was read of a pair at one moment.
func (k *client) alike(a, b kv.Answer) {
	if a.Err == nil && b.Err == nil && value(a) != value(b) {
		k.s.t.Errorf("a pair that was read together holds %q and %q", value(a), value(b))
	}
}

// transact writes a pair and counts how often, perhaps if it is still what it was, or reads one.
func (k *client) transact(ctx context.Context, n *Node) {
	pair := k.pair()
	if k.rng.IntN(3) == 0 {
		op := operation{client: k.id, kind: doGet, key: pair + "a", call: k.s.h.now()}
		res, err := n.Transact(ctx, &kv.Transaction{Commands: []kv.Command{reading(pair + "a"), reading(pair + "b")}})
		if err == nil {
			k.answered(&op, &res.Results[0])
			k.alike(kv.Answer{Result: res.Results[0]}, kv.Answer{Result: res.Results[1]})
		} else if kv.KindOf(err) == kv.Unknown {
			return // what reads in the log may end so, too
		}
		k.s.h.ended(op, err)
		return
	}
	k.values++
	v := fmt.Sprintf("v%d.%d%s", k.id, k.values, k.s.filling)
	op := operation{client: k.id, kind: doPut, key: pair + "a", value: v}
	times := operation{client: k.id, kind: doIncr, key: pair + "n"}
	tx := kv.Transaction{Commands: []kv.Command{*put(pair+"a", v), *put(pair+"b", v), incr(pair+"n", 1)}}
	if seen := k.seen[pair+"a"]; seen.version != 0 && k.rng.IntN(2) == 0 {
		tx.Watches = []kv.Watch{{Key: []byte(pair + "a"), Version: seen.version}}
		op.kind, op.expect = doSwap, seen.value
		times.kind = doIncrOrNot
	}
	op.call = k.s.h.now()
	times.call = op.call
	res, err := n.Transact(ctx, &tx)
	if err == nil && !res.Conflict {
		k.answered(&op, &res.Results[0])
		times.kind = doIncr
		k.answered(&times, &res.Results[2])
	}
	k.s.h.ended(op, err)
	if err != nil || !res.Conflict {
		k.s.h.ended(times, err)
	}
}

// query draws a list: of everything, or a part.
func (k *client) query() kv.ListQuery {
	q := kv.ListQuery{KeysOnly: k.rng.IntN(3) == 0}
	switch k.rng.IntN(5) {
	case 0:
		q.Prefix = []byte(fmt.Sprintf("k/n%d.", k.rng.IntN(layersClients)))
	case 1:
		q.From = []byte(k.someKey())
	case 2:
		q.Limit = 1 + k.rng.IntN(30)
	case 3:
		q.To = []byte(k.someKey())
	}
	if k.rng.IntN(3) == 0 {
		q.Filter = []kv.Filter{
			{Glob: "*[13579]"}, {Regex: "[0-4]$"}, {Where: `key endsWith "7" || not (key contains "1")`}, {Glob: "no*"},
		}[k.rng.IntN(4)]
	}
	return q
}

func (k *client) list(ctx context.Context, n *Node, q kv.ListQuery) {
	shown := showing{client: k.id, keysOnly: q.KeysOnly, found: map[string]string{}, call: k.s.h.now()}
	items, err := collect(n.List(ctx, q))
	if !k.s.h.readEnded(err) {
		return
	}
	keys := keysOf(items)
	if !slices.IsSorted(keys) || len(slices.Compact(slices.Clone(keys))) != len(keys) {
		k.s.t.Errorf("list %+v: the keys are out of order: %q", q, keys)
	}
	for _, it := range items {
		shown.found[string(it.Key)] = string(it.Value.Data)
	}
	whole := q.Limit == 0 || len(keys) < q.Limit
	shown.covers = func(key string) bool {
		return selects(k.s.t, &q, key) && (whole || key <= keys[len(keys)-1])
	}
	k.s.h.show(shown)
}

// selects reports whether a list is about a key, whatever that holds.
func selects(t *testing.T, q *kv.ListQuery, key string) bool {
	f, e := match.Compile(q.Filter)
	if e != nil {
		t.Fatal(e)
	}
	return strings.HasPrefix(key, string(q.Prefix)) && key >= string(q.From) &&
		(len(q.To) == 0 || key < string(q.To)) && (f == nil || f.Match(&kv.Item{Key: []byte(key)}, 0))
}

func (k *client) walk(ctx context.Context, n *Node) {
	shown := showing{client: k.id, keysOnly: true, found: map[string]string{}, call: k.s.h.now()}
	shown.covers = func(string) bool { return true }
	for at := uint64(0); ; {
		keys, next, err := n.Walk(ctx, at, 1+k.rng.IntN(20))
		if !k.s.h.readEnded(err) {
			return
		}
		for _, key := range keys {
			shown.found[string(key)] = ""
		}
		if next == 0 {
			break
		}
		at = next
	}
	k.s.h.show(shown)
}

func (k *client) count(ctx context.Context, n *Node) {
	c := counting{call: k.s.h.now()}
	var err error
	if c.keys, err = n.CountKeys(ctx); k.s.h.readEnded(err) {
		k.s.h.counted(c)
	}
}
