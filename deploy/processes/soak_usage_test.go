//go:build processes && soak

package processes

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"text/tabwriter"
	"time"
)

// What a node may use; docs/architecture.md has the limits that these are the sums of.
const (
	soakMemory = 1 << 30            // caches, buffers, tails of the logs, and requests of this load
	soakLog    = 2*256<<20 + 96<<20 // twice what may live in it, four segments, two spare ones
	soakFiles  = 1000               // 500 of Pebble, the segments, and the connections of this load
	usageEvery = 2 * time.Second
)

// usage is the most that a node was seen to use.
type usage struct {
	memory, log, data int64
	files, lives      int
	pid               int // of the newest process
}

// usages samples all nodes.
type usages struct {
	mu   sync.Mutex
	most map[string]*usage
}

func (u *usages) of(name string) *usage {
	if u.most[name] == nil {
		u.most[name] = &usage{}
	}
	return u.most[name]
}

func (u *usages) started(n *node) {
	u.mu.Lock()
	defer u.mu.Unlock()
	m := u.of(n.name)
	m.lives, m.pid = m.lives+1, n.process.cmd.Process.Pid
}

// sample looks at a node, and says what is beyond its bound.
func (u *usages) sample(n *node) error {
	u.mu.Lock()
	pid := u.of(n.name).pid
	u.mu.Unlock()
	now := usage{memory: residentOf(pid), log: bytesBelow(filepath.Join(n.dir, "log")), data: bytesBelow(n.dir),
		files: filesOf(pid)}
	u.mu.Lock()
	defer u.mu.Unlock()
	m := u.of(n.name)
	m.memory, m.log, m.data, m.files = max(m.memory, now.memory), max(m.log, now.log), max(m.data,
		now.data), max(m.files, now.files)
	if now.memory > soakMemory || now.log > soakLog || now.files > soakFiles {
		return fmt.Errorf("%s uses %d MiB of memory, %d MiB of log and %d files", n.name, now.memory>>20, now.log>>20,
			now.files)
	}
	return nil
}

// table shows the most that each node used beside the bounds.
func (u *usages) table(nodes []*node) string {
	u.mu.Lock()
	defer u.mu.Unlock()
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "node\tstarts\tmemory MiB\tlog MiB\topen files\tdata MiB\t\n")
	for _, n := range nodes {
		m := u.of(n.name)
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%d\t\n", n.name, m.lives, m.memory>>20, m.log>>20, m.files, m.data>>20)
	}
	fmt.Fprintf(w, "at most\t\t%d\t%d\t%d\t\t\n", soakMemory>>20, soakLog>>20, soakFiles)
	w.Flush()
	return b.String()
}

func filesOf(pid int) int {
	names, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	return len(names)
}

// bytesBelow is the size of all files below a directory, of which some may go meanwhile.
func bytesBelow(dir string) (sum int64) {
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && d.Name() != ballast {
			if info, err := d.Info(); err == nil {
				sum += info.Size()
			}
		}
		return nil
	})
	return sum
}
