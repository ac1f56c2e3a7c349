//go:build processes

package processes

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// A check that cannot fail proves nothing.
func TestTheCheckFindsWhatIsWrong(t *testing.T) {
	t.Parallel()
	put := func(value uint64, call, ret int64, version uint64) operation {
		return operation{key: "k", kind: opPut, value: value, call: call, ret: ret, applied: true,
			created: version == 1, version: version}
	}
	lost := func(value uint64, call int64) operation {
		return operation{key: "k", kind: opPut, value: value, call: call, ret: never, unknown: true}
	}
	get := func(seen uint64, call, ret int64, version uint64) operation {
		return operation{key: "k", kind: opGet, seen: seen, call: call, ret: ret, version: version}
	}
	for _, c := range []struct {
		name string
		ops  []operation
		want string // part of the fault, "" for none
	}{
		{"what was written is read", []operation{put(1, 0, 1, 1), get(1, 2, 3, 1)}, ""},
		{"an acknowledged write is lost", []operation{put(1, 0, 1, 1), get(0, 2, 3, 0)}, "no linear order"},
		{"a read is stale", []operation{
			put(1, 0, 1, 1), put(2, 2, 3, 2), get(1, 4, 5, 1),
		}, "version 1 was shown by a get after version 2"},
		{"a read beside a write sees either", []operation{
			put(1, 0, 1, 1), put(2, 2, 9, 2), get(1, 3, 4, 1), get(2, 5, 6, 2),
		}, ""},
		{"and then never goes back", []operation{
			put(1, 0, 1, 1), lost(2, 2), get(2, 3, 4, 2), get(1, 5, 6, 1),
		}, "version 1"},
		{"an unknown write never happened", []operation{put(1, 0, 1, 1), lost(2, 2), get(1, 3, 4, 1)}, ""},
		{"an unknown write happened late", []operation{
			put(1, 0, 1, 1), lost(2, 2), get(1, 3, 4, 1), get(2, 5, 6, 2),
		}, ""},
		{"a value from nowhere", []operation{put(1, 0, 1, 1), get(7, 2, 3, 2)}, "no linear order"},
		{"one version for two values", []operation{
			put(1, 0, 1, 1), lost(2, 2), get(2, 3, 4, 1),
		}, "version 1 belongs to the values"},
		{"created twice", []operation{put(1, 0, 1, 1),
			{key: "k", kind: opCreate, value: 2, call: 2, ret: 3, applied: true, created: true, version: 2}},
			"no linear order"},
		{"created, but something was there",
			[]operation{put(1, 0, 1, 1), {key: "k", kind: opPut, value: 2, call: 2, ret: 3, applied: true,
				created: true, version: 2}}, "no linear order"},
		{"two swaps of one version", []operation{put(1, 0, 1, 1),
			{key: "k", kind: opSwap, value: 2, expect: 1, call: 2, ret: 3, applied: true, version: 2},
			{key: "k", kind: opSwap, value: 3, expect: 1, call: 2, ret: 3, applied: true, version: 3}},
			"no linear order"},
		{"a swap refused for no reason", []operation{
			put(1, 0, 1, 1), {key: "k", kind: opSwap, value: 2, expect: 1, call: 2, ret: 3, hidden: true, version: 1},
		}, "no linear order"},
		{"a swap refused with the wrong reason", []operation{put(1, 0, 1, 1), put(2, 2, 3, 2), put(3, 4, 5, 3),
			{key: "k", kind: opSwap, value: 4, expect: 1, call: 6, ret: 7, hidden: true, version: 2}},
			"after version 3"},
		{"deleted, and still there", []operation{
			put(1, 0, 1, 1), {key: "k", kind: opDelete, call: 2, ret: 3, applied: true}, get(1, 4, 5, 1),
		}, "no linear order"},
		{"deleted, and was not there", []operation{
			{key: "k", kind: opDelete, call: 2, ret: 3, applied: true},
		}, "no linear order"},
	} {
		got := fault(c.ops)
		if (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: the check says %q, want %q", c.name, got, c.want)
		}
	}
}

// One partition without a leader for two seconds, and thirty clients that wait for it: an order is there, and is
// to be found soon.
func TestTheCheckIsDoneSoonWhereManyWait(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/crowded.txt")
	if err != nil {
		t.Fatal(err)
	}
	var ops []operation
	for line := range strings.Lines(string(text)) {
		ops = append(ops, parseOperation(t, strings.TrimSpace(line)))
	}
	if what := fault(ops); what != "" {
		t.Fatal(what)
	}
	// One value that was read is another one's: there is none any more.
	i := slices.IndexFunc(ops, func(op operation) bool { return op.kind == opGet && op.seen != 0 && op.version == 0 })
	ops[i].seen = ops[len(ops)-5].value
	if linearizable(withoutUnseen(ops)) != porcupine.Illegal {
		t.Fatal("a wrong read was not found")
	}
}

// parseOperation reads what listing writes.
func parseOperation(t *testing.T, line string) operation {
	t.Helper()
	var from, to, node, name string
	op := operation{key: "k", ret: never}
	_, err := fmt.Sscanf(line, "%s to %s through %s %s value %d expect %d: applied %t created %t seen %d version %d",
		&from, &to, &node, &name, &op.value, &op.expect, &op.applied, &op.created, &op.seen, &op.version)
	op.node, op.kind, op.unknown = strings.TrimSuffix(node, ":"), kind(slices.Index(kindNames[:], name)), to == "?"
	op.hidden = op.kind != opGet && !op.applied && op.version != 0 && op.seen == 0
	call, wrong := time.ParseDuration(from)
	op.call = int64(call)
	if !op.unknown && wrong == nil {
		var ret time.Duration
		ret, wrong = time.ParseDuration(to)
		op.ret = int64(ret)
	}
	if err = errors.Join(err, wrong); err != nil {
		t.Fatalf("%q: %v", line, err)
	}
	return op
}
