package disk

import (
	"log/slog"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// A process that is stopped for a minute in the middle of a write finds, when it goes on, an
// operation that has been under way for a minute. The disk had no time to answer.
func TestAPauseIsNoStall(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_700_000_000, 0)
	var words string // what Fatal was called with
	d := Open(Options{FS: vfs.NewMem(), Dir: "node", Pebble: "db", Logger: slog.New(slog.DiscardHandler),
		Fatal: func(text string) {
			words = text
			runtime.Goexit()
		}})
	d.o.StallAfter = 20 * time.Second
	d.pauses = newPauses(func() time.Time { return now }, time.Second)
	slow := func(took time.Duration) string {
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			d.slow(vfs.DiskSlowInfo{Path: "node/log/1.log", OpType: vfs.OpTypeSync, Duration: took})
		}()
		<-ended
		return words
	}
	runs := func(seconds int) {
		for range seconds {
			now = now.Add(time.Second)
			d.pauses.beat()
		}
	}
	runs(5)
	now = now.Add(time.Minute) // it does not run
	if text := slow(62 * time.Second); text != "" {
		t.Fatalf("after a pause the last words are %q", text)
	}
	runs(10)
	now = now.Add(30 * time.Second) // nor now
	d.pauses.beat()
	if text := slow(102 * time.Second); text != "" {
		t.Fatalf("after two pauses the last words are %q", text)
	}
	runs(10)
	if text := slow(112 * time.Second); !strings.Contains(text, "disk stalled") {
		t.Errorf("after 20 s without an answer the last words are %q", text)
	}
	if !d.Failed() {
		t.Error("and the disk is still trusted")
	}
	d.Halt()
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}
