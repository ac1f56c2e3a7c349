package persist

import (
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"pxkv/persist/data"
	"pxkv/persist/raftlog"
)

func TestLimitsHaveDefaultsAndAreChecked(t *testing.T) {
	t.Parallel()
	o, err := Options{Limits: Limits{Log: raftlog.Limits{TailBytes: 7}}}.withDefaults()
	if err != nil || o.Limits.Log.TailBytes != 7 || o.Limits.Data.BufferBytes != 2<<20 {
		t.Errorf("one limit set: %+v, %v", o.Limits, err)
	}
	if o, err := (Options{Light: true}).withDefaults(); err != nil || o.Limits.Data.BufferBytes != 3<<10 {
		t.Errorf("in a light store: %+v, %v", o.Limits, err)
	}
	limits := Limits{Log: raftlog.Limits{SegmentBytes: -1, MoveBytes: -1}, Data: data.Limits{ChunkBytes: -1}}
	_, err = Open(Options{Dir: "node", FS: vfs.NewMem(), Light: true, Limits: limits})
	for _, name := range []string{"SegmentBytes", "MoveBytes", "ChunkBytes"} {
		if err == nil || !strings.Contains(err.Error(), "limit "+name) {
			t.Errorf("nothing is said of %s: %v", name, err)
		}
	}
}
