package server

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// memoryOf returns how many bytes this process may take: what the machine has, or less where a
// control group, of version 1 or 2, or one above it says so. 0: it cannot be told. root is the
// directory in which /proc and /sys are.
func memoryOf(root string) int64 {
	most := machineTotal(filepath.Join(root, "proc/meminfo"))
	lines, _ := os.ReadFile(filepath.Join(root, "proc/self/cgroup")) // none: no groups
	for line := range strings.Lines(string(lines)) {
		// "0::/path" is version 2; "4:memory:/path" is version 1.
		part := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(part) != 3 {
			continue
		}
		mounts, file := []string{"sys/fs/cgroup", "sys/fs/cgroup/unified"}, "memory.max"
		switch {
		case part[1] == "memory":
			mounts, file = []string{"sys/fs/cgroup/memory"}, "memory.limit_in_bytes"
		case part[0] != "0" || part[1] != "":
			continue
		}
		for _, mount := range mounts {
			// A container may see its own group as the root, and its path from outside.
			for path := filepath.Clean("/" + part[2]); ; path = filepath.Dir(path) {
				if limit := readBytes(filepath.Join(root, mount, path, file)); limit > 0 &&
					(most == 0 || limit < most) {
					most = limit
				}
				if path == "/" {
					break
				}
			}
		}
	}
	return most
}

// readBytes reads a file that holds one number; 0 when it does not, as with "max".
func readBytes(name string) int64 {
	text, err := os.ReadFile(name)
	if err != nil {
		return 0
	}
	n, err := strconv.ParseInt(string(bytes.TrimSpace(text)), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// machineTotal reads the line "MemTotal: N kB".
func machineTotal(name string) int64 {
	text, _ := os.ReadFile(name)
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "MemTotal:" && f[2] == "kB" {
			n, _ := strconv.ParseInt(f[1], 10, 64)
			return n << 10
		}
	}
	return 0
}
