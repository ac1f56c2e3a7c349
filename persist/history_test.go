package persist

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"pxkv/node/kv"
	"pxkv/persist/crypt"
)

// history is the states through which a store went since its log was last known to be durable.
// After a crash exactly one of them must be found, but for the effects: writes to the log are
// lost from the end only, and each replica's effects are those of some index that the log can
// bring forward again.
type history struct {
	mu     sync.Mutex
	states []*model // states[0] is durable; the last was issued last
}

func (h *history) last() *model {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.states[len(h.states)-1]
}

func (h *history) issue(m *model) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.states = append(h.states, m)
}

// durable says that the last state issued cannot be lost any more.
func (h *history) durable() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.states = h.states[len(h.states)-1:]
}

// found says that one of the states was found after a crash, and believed.
func (h *history) found(m *model) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.states = []*model{m}
}

// window is the states that may be found now.
func (h *history) window() []*model {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]*model(nil), h.states...)
}

// crash is a disk as a power loss left it, and the states that may be on it.
type crash struct {
	fs     *vfs.MemFS
	before []*model // when the disk was about to be copied
	after  []*model // when it was copied; what became durable meanwhile may not be on it yet
	where  string
	keys   func() ([]crypt.Key, error)
}

// crashFS copies the disk at file operations that change it, as a power loss there would
// leave it.
type crashFS struct {
	*vfs.MemFS
	history *history
	keys    func() ([]crypt.Key, error)
	percent int // of unsynced data that survives
	mu      sync.Mutex
	rng     *rand.Rand
	chance  int // one in chance operations; 0: none
	crashes []crash
}

// MaybeError implements errorfs.Injector.
func (c *crashFS) MaybeError(op errorfs.Op) error {
	if op.Kind.ReadOrWrite() != errorfs.OpIsWrite {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.chance > 0 && c.rng.IntN(c.chance) == 0 {
		c.crashes = append(c.crashes, c.crash(fmt.Sprintf("%v of %s", op.Kind, op.Path)))
	}
	return nil
}

// String implements errorfs.Injector.
func (c *crashFS) String() string { return "crash" }

// stop lets no power loss come any more, and returns those that came.
func (c *crashFS) stop() []crash {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.chance = 0
	return c.crashes
}

func (c *crashFS) crash(where string) crash {
	cr := crash{before: c.history.window(), where: where, keys: c.keys}
	cr.fs = c.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: c.percent, RNG: c.rng})
	cr.after = c.history.window()
	return cr
}

// check opens a crashed disk, which must have one of its states.
func (cr *crash) check(t *testing.T) {
	t.Helper()
	db, err := Open(Options{Dir: "node", FS: cr.fs, Light: true, Keys: cr.keys})
	if err != nil {
		t.Fatalf("crash at %s: %v", cr.where, err)
	}
	cr.find(t, db)
	must(t, db.Close())
}

// find returns which of its states a disk has.
func (cr *crash) find(t *testing.T, db *DB) *model {
	t.Helper()
	text, err := storeText(db)
	if err != nil {
		t.Fatalf("crash at %s: %v", cr.where, err)
	}
	replicas, err := db.Replicas()
	must(t, err)
	for _, m := range append(append([]*model(nil), cr.before...), cr.after...) {
		m := m.clone()
		for _, found := range replicas {
			if r := m.replicas[found.Partition()]; r != nil && r.id == found.ID() {
				m.past.backTo(r, found.Applied())
			}
		}
		if m.text() == text {
			for _, r := range m.replicas { // what raft is told at the start
				r.hard.commit = max(r.hard.commit, r.applied.Index)
			}
			return m
		}
	}
	t.Fatalf("crash at %s: found a state that never was, or one older than the durable one, which is\n%s\nfound\n%s",
		cr.where, brief(cr.before[0].text()), brief(text))
	return nil
}

// brief cuts the lines of a state's text to what can be read.
func brief(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = line[:min(len(line), 200)]
	}
	return strings.Join(lines, "\n")
}

// snapshotStream is the stream of a partition with that content.
func snapshotStream(t testing.TB, p kv.PartitionID, r *modelReplica) *bytes.Buffer {
	t.Helper()
	db := openTest(t, vfs.NewMem())
	b := db.NewBatch()
	ap := r.applied
	b.Create(p, 1, &ap)
	must(t, b.Commit())
	a := db.NewApply()
	for key, rec := range r.data {
		a.Put(p, []byte(key), rec)
	}
	must(t, a.Commit())
	s, err := db.OpenSnapshot(p)
	must(t, err)
	var stream bytes.Buffer
	n, err := s.WriteTo(&stream)
	must(t, err)
	if n != int64(stream.Len()) {
		t.Fatalf("WriteTo says %d bytes and wrote %d", n, stream.Len())
	}
	must(t, s.Close())
	must(t, db.Close())
	return &stream
}
