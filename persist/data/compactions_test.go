package data

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// backlog wants compactions as Pebble does: while one waits that was refused no other is tried, and what waits is gone
// when nobody wants it any more.
type backlog struct {
	c       *compactions
	mu      sync.Mutex
	wanted  int
	waiting bool
	allowed atomic.Int64
	running int
	most    int // at a time
	asked   int // times that it was asked what waits
	done    int
	over    bool
	t       *testing.T
	took    time.Duration
	all     sync.WaitGroup
}

func (b *backlog) GetAllowedWithoutPermission() int { return int(b.allowed.Load()) }

func (b *backlog) GetWaitingCompaction() (bool, pebble.WaitingCompaction) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked++
	if b.over {
		b.t.Error("asked after it has ended")
	}
	b.waiting = b.waiting && b.wanted > 0
	return b.waiting, pebble.WaitingCompaction{}
}

func (b *backlog) Schedule(h pebble.CompactionGrantHandle) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.waiting = b.waiting && b.wanted > 0; !b.waiting {
		return false
	}
	b.run(h)
	return true
}

// run lets one run. mu is held.
func (b *backlog) run(h pebble.CompactionGrantHandle) {
	took := b.took
	b.wanted--
	b.running++
	b.most = max(b.most, b.running)
	b.all.Go(func() {
		time.Sleep(took)
		b.mu.Lock()
		b.running--
		b.done++
		b.mu.Unlock()
		h.Done()
	})
}

// want wants so many more.
func (b *backlog) want(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.wanted += n; b.wanted > 0 && !b.waiting; {
		ok, h := b.c.TrySchedule()
		if !ok {
			b.waiting = true
			return
		}
		b.run(h)
	}
}

func (b *backlog) look(f func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f()
}

func newBacklog(t *testing.T, allowed int, took time.Duration) *backlog {
	b := &backlog{c: newCompactions(), took: took, t: t}
	b.allowed.Store(int64(allowed))
	b.c.Register(1, b)
	return b
}

// As many run at a time as are allowed, and none is forgotten.
func TestCompactionsRunAsAllowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBacklog(t, 2, time.Second)
		b.want(5)
		time.Sleep(3*time.Second + time.Millisecond)
		b.look(func() {
			if b.done != 5 || b.most != 2 {
				t.Errorf("%d of 5 are done, %d at a time; want them in three turns of two", b.done, b.most)
			}
		})
		// More may be allowed while one takes long, and nobody says so.
		b.allowed.Store(1)
		b.look(func() { b.took = time.Hour })
		b.want(3)
		time.Sleep(time.Minute)
		b.allowed.Store(2)
		time.Sleep(2 * lookAgain)
		b.look(func() {
			if b.running != 2 {
				t.Errorf("%d run, and two are allowed for a while", b.running)
			}
		})
		b.allowed.Store(3)
		b.c.UpdateGetAllowedWithoutPermission()
		time.Sleep(lookAgain / 10)
		b.look(func() {
			if b.running != 3 {
				t.Errorf("%d run, and it was said that three are allowed", b.running)
			}
		})
		time.Sleep(2 * time.Hour)
		asked := 0
		b.look(func() { asked = b.asked })
		time.Sleep(time.Hour)
		b.look(func() {
			if b.asked != asked {
				t.Errorf("while nothing waits it is asked %d times an hour what does", b.asked-asked)
			}
		})
		b.c.Unregister()
		b.look(func() { b.over = true })
		b.all.Wait()
	})
}

// However it comes, all are done, and nobody is asked after the end.
func TestNoCompactionIsForgotten(t *testing.T) {
	for seed := range uint64(200) {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 1))
			b := newBacklog(t, 1, time.Duration(1+r.IntN(300))*time.Millisecond)
			sum := 0
			for range 40 {
				n := r.IntN(3)
				sum += n
				b.want(n)
				if r.IntN(3) == 0 {
					synctest.Wait()
					if b.allowed.Store(1 + r.Int64N(3)); r.IntN(2) == 0 {
						b.c.UpdateGetAllowedWithoutPermission()
					}
				}
				if r.IntN(8) == 0 { // they are wanted no more, as when another compaction has done it
					b.look(func() { sum, b.wanted = sum-b.wanted, 0 })
				}
				time.Sleep(time.Duration(r.IntN(200)) * time.Millisecond)
			}
			time.Sleep(time.Minute)
			b.look(func() {
				if b.done != sum || b.most > 3 {
					t.Errorf("seed %d: %d of %d are done, %d at a time at most", seed, b.done, sum, b.most)
				}
			})
			b.want(r.IntN(5))
			b.c.Unregister()
			b.look(func() { b.over = true })
			b.all.Wait()
		})
	}
}
