package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// terminal opens a terminal: what is written to it, and what a person sees of that once it is closed.
func terminal(t *testing.T) (tty *os.File, seen func() string) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("there is no terminal: %v", err)
	}
	fd := int(master.Fd())
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err != nil {
		t.Skipf("there is no terminal: %v", err)
	}
	text := make(chan string, 1)
	go func() {
		all, _ := io.ReadAll(master) // it ends with an error when the other side is closed
		text <- string(all)
	}()
	return tty, func() string {
		tty.Close()
		defer master.Close()
		return <-text
	}
}

// On a terminal a line tells how far an import or export is: of a file in per cent of its bytes, as they are
// compressed.
func TestProgressOnATerminal(t *testing.T) {
	url, _, _ := realNode(t, nil)
	const pairs = 50_000
	var lines strings.Builder
	dump := []byte("REDIS0009")
	for i := range pairs {
		key := fmt.Sprintf("k%06d", i)
		fmt.Fprintf(&lines, "{\"key\":%q,\"value\":\"%032x\"}\n", key, i*i)
		dump = append(append(append(append(dump, 0, 7), key...), 32), fmt.Sprintf("%032x", i)...)
	}
	dump = append(dump, 255, 0, 0, 0, 0, 0, 0, 0, 0)
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	z.Write([]byte(lines.String()))
	z.Close()
	dir := t.TempDir()
	percent := `([0-9]+) pairs +[0-9.]+ MiB +[0-9]+ pairs/s( +[0-9]+%)`
	for _, c := range []struct {
		name string
		args []string
		want string
	}{
		{"plain", []string{"import", write(t, filepath.Join(dir, "a.ndjson"), lines.String())}, percent},
		{"packed", []string{"import", write(t, filepath.Join(dir, "a.gz"), packed.String())}, percent},
		{"dump", []string{"import", write(t, filepath.Join(dir, "a.rdb"), string(dump))}, percent},
		{"stdin", []string{"import", "-"}, `[0-9]+ pairs +[0-9.]+ MiB +[0-9]+ pairs/s\r?\x1b?`},
		{"export", []string{"export", filepath.Join(dir, "out.ndjson")}, `[0-9]+ pairs +[0-9.]+ MiB +[0-9]+ pairs/s`},
	} {
		tty, seen := terminal(t)
		var out bytes.Buffer
		args := append([]string{c.args[0], "--server=" + url}, c.args[1:]...)
		code := run(t.Context(), args, strings.NewReader(lines.String()), &out, tty)
		text := seen()
		found := regexp.MustCompile(c.want).FindAllStringSubmatch(text, -1)
		if code != exitFine || len(found) == 0 {
			t.Errorf("%s: code %d, the terminal shows %q", c.name, code, text)
			continue
		}
		if c.name == "stdin" && strings.Contains(text, "%") {
			t.Errorf("%s: it says per cent of what is not known: %q", c.name, text)
		}
		for _, f := range found {
			if len(f) > 2 && strings.TrimSpace(f[2]) > "100%" && len(strings.TrimSpace(f[2])) > 3 {
				t.Errorf("%s: %s", c.name, f[0])
			}
		}
		if last := strings.LastIndex(text, eraseLine); last < 0 || strings.Contains(text[last:], "pairs/s") {
			t.Errorf("%s: the line is left there: %q", c.name, text)
		}
	}
}
