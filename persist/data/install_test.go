package data

import (
	"bytes"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"pxkv/node/kv"
	"pxkv/persist/disktest"
)

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

func isTableWrite(op errorfs.Op) bool {
	return strings.HasSuffix(op.Path, ".sst") && strings.Contains(op.Path, "/db/") && op.Kind == errorfs.OpFileWrite
}

// A flush of partitions 1 and 3 is under way when a snapshot is installed into partition 2, which
// cancels it.
func TestAnInstallMayCancelAFlush(t *testing.T) {
	t.Parallel()
	src := openTest(t, vfs.NewMem())
	filled(t, src, 2)
	stream := streamOf(t, src, 2)
	shut(t, src)

	disk := disktest.NewHeld(isTableWrite)
	dead := make(chan string, 1)
	var cancelled atomic.Bool
	logs := slog.New(slog.NewTextHandler(writerFunc(func(b []byte) (int, error) {
		if bytes.Contains(b, []byte(pebble.ErrCancelledCompaction.Error())) {
			cancelled.Store(true)
		}
		return len(b), nil
	}), &slog.HandlerOptions{Level: slog.LevelDebug}))
	db := openWith(t, errorfs.Wrap(vfs.NewMem(), disk), options{
		disk: watched{Logger: logs, Fatal: func(text string) {
			dead <- text
			runtime.Goexit()
		}},
		pebble: Pebble{MemTableBytes: 64 << 20},
	})
	r1, r3 := bootstrap(t, db, 1, 1), bootstrap(t, db, 3, 1)
	r2 := learner(db, 2, 7)
	must(t, db.Flush())
	value := make([]byte, 1<<20) // so many that the flush makes several tables; it stops between two
	rand.NewChaCha8([32]byte{}).Read(value)
	for _, r := range []*replica{r1, r3} {
		a := db.NewApply()
		for i := range 4 {
			a.Put(r.Partition(), []byte{byte('a' + i)}, Record{
				Value: kv.Value{Kind: kv.Binary, Data: value}, Version: 1, ModifiedMS: 1,
			})
		}
		must(t, a.Commit())
	}
	staged, err := db.StageSnapshot(2, bytes.NewReader(stream))
	must(t, err)

	release := disk.Hold()
	db.drainAll()
	db.flush()
	disk.Await(t)
	install(t, db, r2, staged)
	release()
	select {
	case text := <-dead:
		t.Fatalf("last words are %q", text)
	case <-db.flushes.last:
	}
	if !cancelled.Load() {
		t.Error("no flush was cancelled")
	}
	for p, want := range map[kv.PartitionID]int64{1: 4, 2: 49, 3: 4} {
		keys, err := countKeys(db, p)
		if err != nil || keys != want {
			t.Errorf("partition %s has %d keys, %v", p, keys, err)
		}
	}
	shut(t, db)
}

// Pebble asks now and then how full the disk is, and does without an answer.
func TestUnknownFreeSpaceIsNotTheEnd(t *testing.T) {
	t.Parallel()
	fs, armed := disktest.Failing(func(op errorfs.Op) bool { return op.Kind == errorfs.OpGetDiskUsage })
	db := openWith(t, fs, options{waits: true, disk: watched{Fatal: disktest.Fatal}})
	armed.Store(true)
	_, _, usage := db.disk.FreeBytes()
	wantText(t, usage, disktest.ErrDisk.Error())
	if text := disktest.LastWords(func() { db.backgroundFailed(usage) }); text != "" {
		t.Errorf("last words are %q", text)
	}
	if text := disktest.LastWords(func() { db.backgroundFailed(pebble.ErrCorruption) }); text == "" {
		t.Error("nobody noticed a real error")
	}
}
