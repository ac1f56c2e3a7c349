package node

import (
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"pxkv/node/kv"
	"pxkv/persist/data"
)

// Whoever looks at the status of a node learns that its disk refuses writes, also when small ones still find room.
func TestAFullDiskIsShown(t *testing.T) {
	t.Parallel()
	const reserve, large = 1 << 30, 2 << 20
	warns := func(s *server, text string) func() error {
		return func() error {
			for _, w := range s.node.Cluster().Warnings {
				if strings.Contains(w, "the disk of node n1 is full: "+text) {
					return nil
				}
			}
			return s.node.errFull()
		}
	}
	for name, tc := range map[string]struct {
		free  uint64
		small bool // values find room
		text  string
	}{
		"only large values find no room": {reserve + 2*large, true, "large writes"},
		"there is no room at all":        {reserve - 1, false, "writes"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t)
			disk := &smallDisk{FS: vfs.NewMem()}
			disk.free.Store(50 << 30)
			s := c.startOn("n1", disk, false, 0).awaitStart()
			s.write(put("small", "1"))
			if warns(s, "")() == nil {
				t.Fatalf("it warns before anything is wrong: %q", s.node.Cluster().Warnings)
			}
			disk.free.Store(tc.free)
			_, err := s.db.LookForRoom()
			must(t, err)
			_, err = s.node.Write(within(t, patience), put("large", strings.Repeat("v", large)))
			if kv.KindOf(err) != kv.Full {
				t.Fatalf("a large value: %v", err)
			}
			eventually(t, "status warns", warns(s, tc.text))
			if tc.small {
				s.write(put("small", "2"))
			}
			disk.free.Store(50 << 30)
			// By then the last refusal is long enough ago.
			s.node.space.refused.Store(0)
			eventually(t, "the warning ends", func() error {
				if warns(s, "")() == nil {
					return s.node.errFull()
				}
				return nil
			})
		})
	}
}

// Where a disk cannot fill before the next look, it is looked at less often.
func TestHowOftenADiskIsLookedAt(t *testing.T) {
	t.Parallel()
	const reserve = 1 << 30
	for _, tc := range []struct {
		growth int64
		want   time.Duration
	}{
		{-reserve, spaceInterval},
		{0, spaceInterval},
		{fillRate / 5, spaceInterval},
		{fillRate, time.Second},
		{50 * fillRate, longestSpaceInterval},
	} {
		r := data.Room{Free: uint64(reserve + 1<<20 + tc.growth), Owed: 1 << 20, Reserve: reserve, Total: 1 << 50}
		if got := lasts(r); got < tc.want-time.Millisecond || got > tc.want {
			t.Errorf("%d MiB may be added: the next look is after %v, want %v", tc.growth>>20, got, tc.want)
		}
	}
}
