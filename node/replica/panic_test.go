package replica

import (
	"strings"
	"testing"
	"time"

	"pxkv/node/entry"
	"pxkv/node/kv"
)

// breaking panics where it is told to.
type breaking struct {
	noCache
	begin, end bool
}

func (b *breaking) Begin(kv.PartitionID, []byte) {
	if b.begin {
		panic("broken invariant")
	}
}

func (b *breaking) End(kv.PartitionID, []byte, *kv.Item) {
	if b.end {
		panic("broken invariant")
	}
}

// asked is a request and its answers.
type asked struct {
	what    string
	answers []*kv.Error
}

func (a *asked) op(p kv.PartitionID, cmd []byte) Op {
	return Op{Partition: p, Command: cmd, Reply: func(r entry.Reply) { a.answers = append(a.answers, r.Err) }}
}

func (a *asked) read(p kv.PartitionID) ReadOp {
	return ReadOp{Partition: p, Reply: func(err *kv.Error) { a.answers = append(a.answers, err) }}
}

// Wherever a turn panics, each request is answered once, and none that may be in the log is said
// to be certainly not done.
func TestATurnThatPanicsLeavesNoRequestWithoutAnswer(t *testing.T) {
	t.Parallel()
	for _, where := range []string{"order", "tick", "apply", "applied", "answer", "answer to a read"} {
		t.Run(where, func(t *testing.T) {
			t.Parallel()
			cache := &breaking{}
			onTick := func(*Host) {}
			s := newSoloWith(t, 3, Config{Cache: cache, OnTick: func(h *Host) { onTick(h) }})
			var all []*asked
			ask := func(what string) *asked {
				a := &asked{what: what}
				all = append(all, a)
				return a
			}
			s.in.Ops = append(s.in.Ops, ask("proposed").op(0, setCommand("k", "1")))
			s.step() // it is in the log, and committed with the next turn
			s.in.Ops = append(s.in.Ops, ask("new").op(0, setCommand("k", "2")), ask("new").op(1, setCommand("k", "2")),
				ask("not here").op(99, setCommand("k", "2")))
			s.in.Reads = append(s.in.Reads, ask("read").read(0), ask("read").read(1))
			switch where {
			case "order":
				s.in.Orders = append(s.in.Orders, func(*Host) { panic("broken invariant") })
			case "tick":
				s.now += time.Second
				s.in.Tick = true
				onTick = func(h *Host) { panic("broken invariant") }
			case "apply":
				cache.begin = true
			case "applied":
				cache.end = true
			case "answer":
				s.in.Ops = append(s.in.Ops, Op{Partition: 99, Command: setCommand("k", "2"), Reply: func(entry.Reply) {
					panic("broken invariant")
				}}, ask("last").op(99, nil))
			case "answer to a read":
				s.in.Reads = append([]ReadOp{{Partition: 99, Reply: func(*kv.Error) {
					panic("broken invariant")
				}}}, s.in.Reads...)
			}
			if _, err := s.h.Turn(Now{
				Boot: s.now + time.Millisecond, WallMS: 1,
			}, &s.in); err == nil || !strings.Contains(err.Error(), "broken invariant") {
				t.Fatalf("the turn ends with %v", err)
			}
			s.h.Shutdown()
			for _, a := range all {
				switch {
				case len(a.answers) != 1:
					t.Errorf("%s: %d answers: %v", a.what, len(a.answers), a.answers)
				case a.what == "proposed" && a.answers[0] != nil && a.answers[0].Kind != kv.Unknown:
					t.Errorf("a write that is in the log was answered with %v", a.answers[0])
				}
			}
		})
	}
}
