package server

import (
	"fmt"
	"log/slog"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"
)

func TestMemoryIsWhatTheGroupOrTheMachineHas(t *testing.T) {
	t.Parallel()
	const machine = "MemTotal:       24684600 kB\nMemFree:        21544308 kB\n"
	for name, c := range map[string]struct {
		files map[string]string
		want  int64
	}{
		"nothing is known": {nil, 0},
		"the machine":      {map[string]string{"proc/meminfo": machine}, 24684600 << 10},
		"version 2": {map[string]string{
			"proc/meminfo": machine, "proc/self/cgroup": "0::/system.slice/pxkv.service\n",
			"sys/fs/cgroup/system.slice/pxkv.service/memory.max": "536870912\n",
		}, 512 << 20},
		"version 2, the group above": {map[string]string{
			"proc/meminfo": machine, "proc/self/cgroup": "0::/a/b\n",
			"sys/fs/cgroup/a/memory.max": "1048576\n", "sys/fs/cgroup/a/b/memory.max": "max\n",
		}, 1 << 20},
		"version 2 in a container": {map[string]string{
			"proc/meminfo": machine, "proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "1073741824\n",
		}, 1 << 30},
		"version 1": {map[string]string{
			"proc/meminfo": machine, "proc/self/cgroup": "5:cpu:/\n4:memory:/docker/abc\n0::/\n",
			"sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes": "536870912\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes":            "9223372036854771712\n",
		}, 512 << 20},
		"version 1 in a container": {map[string]string{
			"proc/meminfo": machine, "proc/self/cgroup": "4:memory:/docker/abc\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "268435456\n",
		}, 256 << 20},
		"more than there is": {map[string]string{
			"proc/meminfo": machine, "proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "1099511627776\n",
		}, 24684600 << 10},
		"nonsense": {map[string]string{"proc/meminfo": "MemTotal:\n", "proc/self/cgroup": "x\n0::../../..\n::\n",
			"sys/fs/cgroup/memory.max": "-1\n"}, 0},
	} {
		if got := memoryOf(rootOf(t, c.files)); got != c.want {
			t.Errorf("%s: %d bytes, want %d", name, got, c.want)
		}
	}
}

// rootOf makes a directory of these files.
func rootOf(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for file, text := range files {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(root, file)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, file), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// TestTheRuntimeKnowsTheMemory runs this test binary anew for each case, as the runtime reads GOMEMLIMIT
// once only. With a group of 1 GiB the runtime's limit is seven tenths of that, unless the user gave one.
func TestTheRuntimeKnowsTheMemory(t *testing.T) {
	const root = "PXKV_TEST_MEMORY_ROOT"
	if dir := os.Getenv(root); dir != "" {
		there := limitMemory(slog.New(slog.DiscardHandler), dir)
		fmt.Printf("%d of %d\n", debug.SetMemoryLimit(-1), there)
		return
	}
	t.Parallel()
	group := rootOf(t, map[string]string{
		"proc/meminfo":                  "MemTotal:       24684600 kB\n",
		"proc/self/cgroup":              "0::/pxkv\n",
		"sys/fs/cgroup/pxkv/memory.max": "1073741824\n",
	})
	nothing := t.TempDir()
	for name, c := range map[string]struct {
		root, given  string
		limit, there int64
	}{
		"the group's":         {group, "", 1 << 30 / 10 * 7, 1 << 30},
		"nothing is known":    {nothing, "", math.MaxInt64, unknownMemory},
		"the user's":          {group, "300MiB", 300 << 20, 300 << 20},
		"the user's, above":   {group, "4GiB", 4 << 30, 4 << 30},
		"the user wants none": {group, "off", math.MaxInt64, 1 << 30},
	} {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^TestTheRuntimeKnowsTheMemory$")
		cmd.Env = append(os.Environ(), root+"="+c.root, "GOMEMLIMIT="+c.given)
		out, err := cmd.Output()
		said, _, _ := strings.Cut(string(out), "\n")
		if want := fmt.Sprintf("%d of %d", c.limit, c.there); err != nil || said != want {
			t.Errorf("%s: the runtime's limit is %s, want %s: %v", name, said, want, err)
		}
	}
}

func TestTheBudgetFollowsTheMemory(t *testing.T) {
	t.Parallel()
	for memory, want := range map[int64]int64{
		64 << 20: 64 << 20, 512 << 20: 64 << 20, 1 << 30: 128 << 20, 64 << 30: 512 << 20,
	} {
		if got := newBudget(memory).Limit(); got != want {
			t.Errorf("with %d bytes of memory the budget has %d, want %d", memory, got, want)
		}
	}
}
