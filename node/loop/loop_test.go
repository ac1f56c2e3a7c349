package loop

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"pxkv/node/entry"
	"pxkv/node/kv"
	"pxkv/node/machine"
	"pxkv/node/replica"
	"pxkv/persist"
)

// nowhere is a placement of nothing.
type nowhere struct{}

func (nowhere) Assigned(kv.PartitionID, kv.ReplicaID) bool { return true }
func (nowhere) Issued(kv.ReplicaID) bool                   { return true }
func (nowhere) Nodes(kv.PartitionID) []kv.NodeID           { return nil }
func (nowhere) Members() []kv.NodeID                       { return nil }
func (nowhere) Standing(kv.NodeID) replica.Standing        { return replica.Standing{} }

type silentSender struct{}

func (silentSender) Send(kv.NodeID, []byte) bool { return true }
func (silentSender) SendSnapshot(context.Context, kv.NodeID, []byte, func(io.Writer) error) error {
	return nil
}

func openDB(t *testing.T, fs vfs.FS) *persist.DB {
	t.Helper()
	db, err := persist.Open(persist.Options{Dir: "data", FS: fs, Light: true})
	if err != nil {
		t.Fatal(err)
	}
	return db
}

// loopOf returns a loop that has not started, on whose store one replica, 100, is alone in the group of partition 0.
func loopOf(t *testing.T, db *persist.DB, limits replica.Limits, sender Sender) *Loop {
	t.Helper()
	h, err := replica.NewHost(replica.Config{Node: 2, DB: db, Policy: nowhere{}, Fresh: true, Limits: limits,
		Machine: func(kv.PartitionID) replica.StateMachine { return &machine.KV{} }})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(h.Bootstrap(0, 100, nil), h.CommitNow()); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	return New(Options{
		Host: h, DB: db, Sender: sender,
		Clock: func() replica.Now { return replica.Now{Boot: time.Hour + time.Since(began), WallMS: 1} },
	})
}

// runAlone runs a loop whose one replica leads, until stop or the end of the test.
func runAlone(t *testing.T, disk vfs.FS) (l *Loop, stop func()) {
	t.Helper()
	db := openDB(t, disk)
	l = loopOf(t, db, replica.Limits{}, silentSender{})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- l.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		_ = db.Close()
	})
	for range 3 * replica.ElectionTicks {
		time.Sleep(replica.DefaultTick)
	}
	return l, cancel
}

func (l *Loop) set(key string) chan *kv.Error {
	done := make(chan *kv.Error, 1)
	l.Write(replica.Op{Partition: 0, Command: setCommand(key), Reply: func(r entry.Reply) { done <- r.Err }})
	return done
}

func setCommand(key string) []byte {
	c := kv.Command{Op: kv.OpPut, Key: []byte(key), Value: kv.Value{Kind: kv.String, Data: []byte("v")}}
	return c.AppendTo(nil)
}

// Who waits for the loop is told when it has ended, whatever it was asked for.
func TestALoopThatEndsInAPanicLetsNobodyWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := openDB(t, vfs.NewMem())
		defer db.Close()
		l := loopOf(t, db, replica.Limits{}, silentSender{})
		answers := make(chan string, 8) // room for all: a reply must not wait for the test
		l.Read(replica.ReadOp{Partition: 0, Reply: func(*kv.Error) { answers <- "read" }})
		l.Write(replica.Op{Partition: 0, Reply: func(entry.Reply) { answers <- "write" }})
		breaks, nothing := func(*replica.Host) { panic("broken invariant") }, func(*replica.Host) {}
		for _, f := range []func(*replica.Host){breaks, nothing} {
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
		l.Write(replica.Op{Partition: 0, Reply: func(entry.Reply) { answers <- "late write" }})
		for range 5 {
			select {
			case <-answers:
			case <-time.After(time.Second):
				t.Fatal("somebody waits for ever")
			}
		}
	})
}
