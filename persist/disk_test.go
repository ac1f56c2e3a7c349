package persist

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"pxkv/persist/state"
)

const otherProcess = "PXKV_PERSIST_TEST_OPEN"

// TestMain is also the other process of TestDirectoryIsLocked.
func TestMain(m *testing.M) {
	if dir := os.Getenv(otherProcess); dir != "" {
		_, err := Open(Options{Dir: dir})
		os.Stdout.WriteString(err.Error())
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func TestDirectoryIsLocked(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "not", "there", "yet")
	db, err := Open(Options{Dir: dir})
	must(t, err)
	_, err = Open(Options{Dir: dir})
	if !errors.Is(err, ErrLocked) {
		t.Errorf("second open: %v", err)
	}
	exe, err := os.Executable()
	must(t, err)
	other := exec.Command(exe)
	other.Env = append(os.Environ(), otherProcess+"="+dir)
	out, err := other.Output()
	must(t, err)
	if text := string(out); !strings.Contains(text, "in use by another process") || !strings.Contains(text, dir) {
		t.Errorf("the other process says %q", text)
	}
	must(t, db.Close())
	db, err = Open(Options{Dir: dir})
	must(t, err)
	must(t, db.Close())
}

// TestRealDisk also sees to it that Close leaves no goroutine.
func TestRealDisk(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	dir := t.TempDir()
	open := func() *DB {
		db, err := Open(Options{Dir: dir})
		must(t, err)
		return db
	}
	db := open()
	must(t, db.SaveIdentity(Identity{Node: 1, Starts: 1}))
	r := filled(t, db, 1)
	filled(t, db, 2)
	for i := range uint64(20) {
		appendAll(t, db, r, entries(61+i*10, 70+i*10, 3))
		applyTo(t, db, r, 65+i*10)
	}
	b := db.NewBatch()
	must(t, b.Truncate(r, 100))
	must(t, b.Commit())
	if free, total, err := db.FreeBytes(); err != nil || free == 0 || total < free {
		t.Errorf("free %d of %d, %v", free, total, err)
	}
	want, err := storeText(db)
	must(t, err)
	must(t, db.Close())

	db = open()
	got, err := storeText(db)
	must(t, err)
	if got != want {
		t.Errorf("after a restart\n%s\nshould be\n%s", brief(got), brief(want))
	}
	replicas, err := db.Replicas()
	must(t, err)
	other, err := Open(Options{Dir: t.TempDir()})
	must(t, err)
	appendAll(t, other, filled(t, other, 2), entries(61, 62, 3))
	s, err := other.OpenSnapshot(2)
	must(t, err)
	pipe, in := io.Pipe()
	go func() {
		_, err := s.WriteTo(in)
		in.CloseWithError(err)
	}()
	staged, err := db.StageSnapshot(2, pipe)
	must(t, err)
	b = db.NewBatch()
	b.Install(replicas[1], staged, raftHardState(hardState{term: 3}))
	b.Destroy(replicas[0])
	must(t, b.Commit())
	must(t, errors.Join(s.Close(), other.Close(), db.Close()))
	db = open()
	replicas, err = db.Replicas()
	must(t, err)
	if len(replicas) != 1 || replicas[0].Applied().Index != 50 || db.Tombstone(1) != 1 {
		t.Errorf("replicas %v", replicas)
	}
	must(t, db.Close())
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	dir := t.TempDir()
	for range 2 { // Close unregisters
		db, err := Open(Options{Dir: dir, Metrics: registry})
		must(t, err)
		if _, err := Open(Options{Dir: t.TempDir(), Metrics: registry}); err == nil {
			t.Error("two stores in one registry")
		}
		b := db.NewBatch()
		if r := b.Create(7, 1, &state.Applied{Index: 1, Term: 1}); r != nil {
			must(t, b.Commit())
		}
		streamOf(t, db, 7)
		families, err := registry.Gather()
		must(t, err)
		names := map[string]bool{}
		for _, f := range families {
			names[f.GetName()] = true
			if f.GetHelp() == "" || !strings.HasPrefix(f.GetName(), "pxkv_disk_") &&
				!strings.HasPrefix(f.GetName(), "pxkv_pebble_") {
				t.Errorf("metric %s: %q", f.GetName(), f.GetHelp())
			}
		}
		for _, name := range []string{
			"pxkv_disk_sync_seconds", "pxkv_disk_batch_bytes", "pxkv_disk_snapshot_bytes_total", "pxkv_disk_used_bytes",
			"pxkv_disk_free_bytes",
			"pxkv_pebble_read_amplification", "pxkv_pebble_compactions_total", "pxkv_disk_log_bytes",
			"pxkv_disk_log_segments", "pxkv_disk_log_moved_bytes_total",
		} {
			if !names[name] {
				t.Errorf("%s is missing", name)
			}
		}
		must(t, db.Close())
	}
	if families, err := registry.Gather(); err != nil || len(families) != 0 {
		t.Errorf("after Close there are still %d metrics, %v", len(families), err)
	}
}
