package replica

import (
	"context"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

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

type silentSender struct{}

func (silentSender) Send(kv.NodeID, []byte) bool { return true }
func (silentSender) SendSnapshot(context.Context, kv.NodeID, []byte, func(io.Writer) error) error {
	return nil
}

// Who waits for the loop is told when it has ended, whatever it was asked for.
func TestALoopThatEndsInAPanicLetsNobodyWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := openDB(t, vfs.NewMem())
		defer db.Close()
		l := loopAlone(t, db)
		answers := make(chan string, 8) // room for all: a reply must not wait for the test
		l.Read(ReadOp{Partition: 0, Reply: func(*kv.Error) { answers <- "read" }})
		l.Write(Op{Partition: 0, Reply: func(entry.Reply) { answers <- "write" }})
		for _, f := range []func(*Host){func(*Host) { panic("broken invariant") }, func(*Host) {}} {
			go func() {
				if err := l.Do(context.Background(), f); err == nil {
					t.Error("an order that did not run is said to be done")
				}
				answers <- "order"
			}()
			synctest.Wait() // it is in the inbox
		}
		if err := l.Run(context.Background()); err == nil {
			t.Error("the loop ends without an error")
		}
		l.Write(Op{Partition: 0, Reply: func(entry.Reply) { answers <- "late write" }})
		for range 5 {
			select {
			case <-answers:
			case <-time.After(time.Second):
				t.Fatal("somebody waits for ever")
			}
		}
	})
}
