package node

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"pxkv/node/kv"
	"pxkv/node/replica"
	"pxkv/node/rpc"
)

// writers write without end and fail the test at the first error.
type writers struct {
	done  atomic.Int64
	end   context.CancelFunc
	group sync.WaitGroup
}

func keepWriting(t *testing.T, through ...*server) *writers {
	ctx, cancel := context.WithCancel(t.Context())
	w := &writers{end: cancel}
	t.Cleanup(w.stop)
	for i, s := range through {
		w.group.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				key := fmt.Sprintf("writer %d key %d", i, n%50)
				res, err := s.node.Write(within(t, patience), put(key, fmt.Sprint(n)))
				if err != nil || res.Outcome != kv.Done {
					t.Errorf("write %d through %s: %+v, %v", n, s.name, res, err)
					return
				}
				w.done.Add(1)
			}
		})
	}
	return w
}

// proceed waits for so many more writes.
func (w *writers) proceed(t *testing.T, n int64) {
	t.Helper()
	from := w.done.Load()
	eventually(t, "writes go on", func() error {
		if done := w.done.Load() - from; done < n {
			return fmt.Errorf("%d writes were done", done)
		}
		return nil
	})
}

func (w *writers) stop() {
	w.end()
	w.group.Wait()
}

func (s *server) leading() (n int) {
	s.c.t.Helper()
	must(s.c.t, s.loop.Do(within(s.c.t, patience), func(h *replica.Host) { n = h.Leading() }))
	return n
}

func TestHandOverGivesEveryLeadershipAway(t *testing.T) {
	t.Parallel()
	_, servers := of(t, 3)
	b := servers[1]
	if b.leading() == 0 {
		t.Fatal("it leads nothing to begin with")
	}
	w := keepWriting(t, servers...)
	w.proceed(t, 100)
	b.node.HandOver(within(t, patience))
	if n := b.leading(); n != 0 {
		t.Errorf("it still leads %d groups", n)
	}
	w.proceed(t, 100)
	w.stop()
	eventually(t, "the others lead all", func() error {
		for _, p := range b.node.Partitions() {
			if p.Leader == "" || p.Leader == b.name {
				return fmt.Errorf("partition %s is led by %q", p.Partition, p.Leader)
			}
		}
		return nil
	})
}

func TestARollingRestartCostsNoWrite(t *testing.T) {
	t.Parallel()
	c, servers := of(t, 4)
	w := keepWriting(t, servers[3], servers[3], servers[3])
	for _, s := range servers[:3] {
		w.proceed(t, 50)
		s.stop()
		w.proceed(t, 50)
		s.restart()
		c.settled(4)
	}
	w.proceed(t, 50)
	w.stop()
}

func TestHandOverEndsWhenNobodyCanTakeOver(t *testing.T) {
	t.Parallel()
	_, alone := of(t, 1)
	began := time.Now()
	alone[0].node.HandOver(within(t, patience)) // no group of it has another voter
	if took := time.Since(began); took > handOverLimit/2 {
		t.Errorf("alone it took %v", took)
	}
	alone[0].write(put("k", "v"))

	c, servers := of(t, 3)
	c.net.isolate(servers[0])
	began = time.Now()
	servers[0].node.HandOver(within(t, patience))
	if took := time.Since(began); took > handOverLimit+patience/4 {
		t.Errorf("cut off it took %v", took)
	}
}

// smallDisk is a disk of 100 GiB with as much room as the test says.
type smallDisk struct {
	vfs.FS
	free atomic.Uint64
}

func (d *smallDisk) GetDiskUsage(string) (vfs.DiskUsage, error) {
	const total = 100 << 30
	return vfs.DiskUsage{AvailBytes: d.free.Load(), TotalBytes: total, UsedBytes: total - d.free.Load()}, nil
}

func TestAFullDiskStopsWritesOnly(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	disk := &smallDisk{FS: vfs.NewMem()}
	disk.free.Store(50 << 30)
	a := c.startOn("a", disk, false, 0).awaitStart()
	b := c.joining("b")
	c.settled(2)
	here, there := keyLedBy(t, a, "here"), keyLedBy(t, b, "there")
	a.write(put(here, "v"))
	doomed := []string{here + "{" + here + "}1", here + "{" + here + "}2", here + "{" + here + "}3"}
	for _, key := range doomed {
		a.write(put(key, "v"))
	}
	disk.free.Store(1<<30 - 1) // the reserve is 1 GiB at most
	for _, s := range []*server{a, b} {
		eventually(t, "writes stop through "+s.name, func() error {
			_, err := s.node.Write(within(t, patience), put(here, "v"))
			if kv.KindOf(err) != kv.Full {
				return fmt.Errorf("write: %w", err)
			}
			return nil
		})
		if got := s.get(here); got != "v" {
			t.Errorf("%s reads %q", s.name, got)
		}
		if got := keysOf(s.listed(kv.ListQuery{})); !slices.Contains(got, here) {
			t.Errorf("%s lists %q", s.name, got)
		}
		s.write(put(there, s.name)) // led by the node whose disk has room
		_, err := s.node.Transact(within(t, patience), &kv.Transaction{Commands: []kv.Command{*put(here, "w")}})
		if kv.KindOf(err) != kv.Full {
			t.Errorf("a transaction that writes ends with %v", err)
		}
	}
	// What frees room goes on, alone, in a transaction and in a batch.
	del := func(key string) kv.Command { return kv.Command{Op: kv.OpDelete, Key: []byte(key)} }
	a.write(new(del(doomed[0])))
	if _, err := b.node.Transact(within(t, patience),
		&kv.Transaction{Commands: []kv.Command{del(doomed[1])}}); err != nil {
		t.Errorf("a transaction that deletes: %v", err)
	}
	if res := b.node.Batch(within(t, patience), []kv.Command{del(doomed[2])}); res[0].Err != nil {
		t.Errorf("a batch that deletes: %v", res[0].Err)
	}
	disk.free.Store(1 << 20) // until the reserve is nearly gone
	eventually(t, "deletions stop", func() error {
		_, err := a.node.Write(within(t, patience), new(del(here)))
		if kv.KindOf(err) != kv.Full {
			return fmt.Errorf("deletion: %w", err)
		}
		return nil
	})
	disk.free.Store(50 << 30)
	eventually(t, "writes go on", func() error {
		_, err := b.node.Write(within(t, patience), put(here, "w"))
		return err
	})
}

// A node says what nobody can serve without it, and nothing when the others can.
func TestNeededIsWhatTheOthersCannotServe(t *testing.T) {
	t.Parallel()
	c, servers := of(t, 3)
	a, b := servers[0], servers[1]
	a.isSpared(t)
	servers[2].stop()
	var all []kv.PartitionID
	for p := range c.partitions {
		all = append(all, kv.PartitionID(p))
	}
	for _, s := range []*server{a, b} {
		eventually(t, "two of three need each other", func() error {
			if got := s.node.Needed(within(t, patience)); !slices.Equal(got, all) {
				return fmt.Errorf("%s is needed by %v, want %v", s.name, got, all)
			}
			return nil
		})
	}
	b.stop()
	eventually(t, "a third of three alone serves nothing that could be missed", func() error {
		if got := a.node.Needed(within(t, patience)); got != nil {
			return fmt.Errorf("%s is needed by %v", a.name, got)
		}
		return nil
	})
	_, alone := of(t, 1)
	if got := alone[0].node.Needed(within(t, patience)); got != nil {
		t.Errorf("a node that is the whole cluster says that others need it for %v", got)
	}
}

// A node that has just started again is there for those whom it leads and follows, before all others have looked again
// whether they can ask it.
func TestWhoHasJustComeBackSparesANode(t *testing.T) {
	t.Parallel()
	c, servers := of(t, 3)
	a, b := servers[0], servers[1]
	c.net.setJudge(func(r request) fate {
		if r.from == a.id() && (r.kind == rpc.KindLeading && r.to == b.id() || r.kind == rpc.KindVia) {
			return notSent
		}
		return deliver
	})
	eventually(t, "the last look found nobody", func() error {
		if a.node.client.CanAsk(b.id()) {
			return fmt.Errorf("%s can ask %s", a.name, b.name)
		}
		return nil
	})
	eventually(t, "it may be stopped", func() error { // on a busy machine another one may be behind for a moment
		safe, err := servers[2].node.SafeToStop(within(t, patience), a.name)
		if err == nil && !safe.Safe {
			err = fmt.Errorf("%+v", safe)
		}
		return err
	})
	a.isSpared(t)
}

// isSpared waits until a node says that nothing needs it: on a busy machine another one may be behind for a moment.
func (s *server) isSpared(t *testing.T) {
	t.Helper()
	eventually(t, "nothing needs "+s.name, func() error {
		if got := s.node.Needed(within(t, patience)); got != nil {
			return fmt.Errorf("partitions %v are said to need it", got)
		}
		return nil
	})
}

// What the loop is asked for and does later, when nobody waits any more, is its own. (The race detector tells.)
func TestWhoGivesUpOnTheLoopReadsNothingOfIt(t *testing.T) {
	t.Parallel()
	_, servers := of(t, 2, replicas(2))
	s := servers[0]
	for range 20 {
		hold, held := make(chan struct{}), make(chan struct{})
		var asking sync.WaitGroup
		asking.Go(func() { _ = s.loop.Do(context.Background(), func(*replica.Host) { close(held); <-hold }) })
		<-held
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		context.AfterFunc(ctx, func() { close(hold) }) // the loop goes on in the moment in which nobody waits any more
		asking.Go(func() { _, _ = s.node.witnessHere(ctx, servers[1].id()) })
		_ = s.node.Needed(ctx)
		asking.Wait()
		cancel()
	}
	if needed := s.node.Needed(within(t, patience)); len(needed) == 0 {
		t.Error("of two nodes with all partitions on both none is needed")
	}
}
