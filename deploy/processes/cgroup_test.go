//go:build processes

package processes

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// memoryGroup makes a control group of so many bytes of memory, of version 2 or 1, and returns what
// starts a program in it. Where that is not possible, GOMEMLIMIT says as much to the program, and how
// tells so.
func memoryGroup(t *testing.T, bytes int64) (by []string, how string) {
	t.Helper()
	for _, kind := range []struct{ parent, limit, swap string }{
		{"/sys/fs/cgroup", "memory.max", "memory.swap.max"},
		{"/sys/fs/cgroup/unified", "memory.max", "memory.swap.max"},
		{filepath.Join("/sys/fs/cgroup/memory", ownMemoryGroup()), "memory.limit_in_bytes", ""},
		{"/sys/fs/cgroup/memory", "memory.limit_in_bytes", ""},
	} {
		if !hasMemory(kind.parent) {
			continue
		}
		dir := filepath.Join(kind.parent, fmt.Sprintf("pxkv-test-%d", os.Getpid()))
		// of version 2, and perhaps on already
		_ = os.WriteFile(filepath.Join(kind.parent, "cgroup.subtree_control"), []byte("+memory"), 0)
		if os.Mkdir(dir, 0o755) != nil {
			continue
		}
		t.Cleanup(func() {
			for deadline := time.Now().Add(10 * time.Second); os.Remove(dir) != nil && time.Now().Before(deadline); {
				time.Sleep(50 * time.Millisecond) // the processes in it have just ended
			}
		})
		if os.WriteFile(filepath.Join(dir, kind.limit), []byte(strconv.FormatInt(bytes, 10)), 0) != nil {
			continue
		}
		if kind.swap != "" {
			_ = os.WriteFile(filepath.Join(dir, kind.swap), []byte("0"), 0) // there may be none
		}
		enter := fmt.Sprintf(`echo $$ >%s && exec "$0" "$@"`, filepath.Join(dir, "cgroup.procs"))
		return []string{"sh", "-c", enter}, "in " + dir
	}
	return []string{
		"env", fmt.Sprintf("GOMEMLIMIT=%d", bytes/5*4),
	}, "with GOMEMLIMIT, since no control group can be made here"
}

// hasMemory reports whether a directory is a control group that can limit memory, of either version.
func hasMemory(dir string) bool {
	controllers, err := os.ReadFile(filepath.Join(dir, "cgroup.controllers"))
	if err == nil {
		return slices.Contains(strings.Fields(string(controllers)), "memory")
	}
	_, err = os.Stat(filepath.Join(dir, "memory.limit_in_bytes"))
	return err == nil
}

// ownMemoryGroup is the group of version 1 in which this process is.
func ownMemoryGroup() string {
	text, _ := os.ReadFile("/proc/self/cgroup")
	for line := range strings.Lines(string(text)) {
		if part := strings.SplitN(strings.TrimSpace(line), ":", 3); len(part) == 3 && part[1] == "memory" {
			return part[2]
		}
	}
	return "/"
}
