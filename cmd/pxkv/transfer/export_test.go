package transfer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"pxkv/node/kv"
)

// fakeLister has the pairs k000, k001 and so on, and breaks off as it is told.
type fakeLister struct {
	pairs int
	asked []url.Values
	cut   func(call int, list string) (string, error) // what comes of a list, and how it ends; nil: all of it
}

func (l *fakeLister) List(_ context.Context, query url.Values) (io.ReadCloser, error) {
	call := len(l.asked)
	l.asked = append(l.asked, query)
	var list strings.Builder
	for i := range l.pairs {
		if key := fmt.Sprintf("k%03d", i); key >= query.Get("from") {
			fmt.Fprintf(&list, `{"key":%q,"value":%d,"type":"number","version":%d`, key, i, i+1)
			if i%2 == 0 {
				list.WriteString(`,"expires":"2026-01-01T00:00:00.000Z"`)
			}
			list.WriteString("}\n")
		}
	}
	if l.cut == nil {
		return io.NopCloser(strings.NewReader(list.String())), nil
	}
	text, err := l.cut(call, list.String())
	if text == "" && err != nil {
		return nil, err
	}
	if err == nil {
		err = io.EOF
	}
	return io.NopCloser(io.MultiReader(strings.NewReader(text), iotest.ErrReader(err))), nil
}

func exported(t *testing.T, l *fakeLister, format Format) (string, Exported, error) {
	t.Helper()
	var out bytes.Buffer
	x := &Export{From: l, Query: url.Values{"prefix": {"k"}}, Format: format, Pause: time.Millisecond}
	done, err := x.Run(t.Context(), &out)
	return out.String(), done, err
}

func TestExportFormats(t *testing.T) {
	t.Parallel()
	got, done, err := exported(t, &fakeLister{pairs: 2}, JSON)
	if want := "{\n\"k000\": 0,\n\"k001\": 1\n}\n"; err != nil || got != want || done != (Exported{Pairs: 2,
		Deadlines: 1}) {
		t.Errorf("%q %+v %v", got, done, err)
	}
	got, _, err = exported(t, &fakeLister{pairs: 1}, Lines)
	const line = `{"key":"k000","value":0,"type":"number","version":1,"expires":"2026-01-01T00:00:00.000Z"}` + "\n"
	if err != nil || got != line {
		t.Errorf("%q %v", got, err)
	}
	for format, want := range map[Format]string{JSON: "{}\n", Lines: ""} {
		if got, _, err := exported(t, &fakeLister{}, format); err != nil || got != want {
			t.Errorf("nothing as %s: %q %v", format, got, err)
		}
	}
}

// Wherever a list breaks off, the export goes on behind the last pair that it has whole.
func TestExportGoesOn(t *testing.T) {
	t.Parallel()
	whole, _, err := exported(t, &fakeLister{pairs: 20}, JSON)
	if err != nil {
		t.Fatal(err)
	}
	for at := range 400 {
		l := &fakeLister{pairs: 20, cut: func(_ int, list string) (string, error) {
			if len(list) <= at+100 {
				return list, nil
			}
			return list[:at+100], errors.New("broken")
		}}
		got, done, err := exported(t, l, JSON)
		if err != nil || got != whole || done.Pairs != 20 || len(l.asked) < 2 {
			t.Fatalf("cut at %d: %+v %v, %d calls, %s", at, done, err, len(l.asked), got)
		}
		last := l.asked[len(l.asked)-1]
		if last.Get("from") == "" || last.Get("prefix") != "k" || last.Get("meta") == "" {
			t.Fatalf("asked %v", last)
		}
	}
}

// Behind a key that is as long as a key may be there is none that could be asked for: it comes twice, and is written
// once.
func TestExportGoesOnBehindTheLongestKey(t *testing.T) {
	t.Parallel()
	long := `{"key":"` + strings.Repeat("k", kv.MaxKeyBytes) + `","value":1}` + "\n"
	l := &fakeLister{cut: func(call int, _ string) (string, error) {
		if call == 0 {
			return long, errors.New("broken")
		}
		return long + `{"key":"l","value":2}` + "\n", nil
	}}
	got, done, err := exported(t, l, JSON)
	if err != nil || done.Pairs != 2 || strings.Count(got, "kkk\": 1") != 1 ||
		len(l.asked[1].Get("from")) != kv.MaxKeyBytes {
		t.Errorf("%+v %v", done, err)
	}
}

// An export that brings nothing more ends after a few tries, and its object is not closed.
func TestExportCutShort(t *testing.T) {
	t.Parallel()
	l := &fakeLister{pairs: 9, cut: func(call int, list string) (string, error) {
		if call == 0 {
			return list[:200], nil // as a proxy may end it: half a line
		}
		return "", errors.New("no node")
	}}
	got, done, err := exported(t, l, JSON)
	if err == nil || json.Valid([]byte(got)) || done.Pairs != 2 || len(l.asked) != mostTries {
		t.Errorf("%q %+v %v, %d calls", got, done, err, len(l.asked))
	}
	// One that did not begin is not asked for again: the caller did that.
	l = &fakeLister{pairs: 9, cut: func(int, string) (string, error) { return "", errors.New("no node") }}
	if _, _, err := exported(t, l, JSON); err == nil || len(l.asked) != 1 {
		t.Errorf("%v, %d calls", err, len(l.asked))
	}
	l = &fakeLister{pairs: 9, cut: func(int, string) (string, error) { return "{\"a\":1}\n", nil }}
	if _, _, err := exported(t, l, JSON); err == nil || !strings.Contains(err.Error(), "not what a pxkv node says") {
		t.Error(err)
	}
}

// A file has its name when it is whole, and only then.
func TestFilesAreWrittenWhole(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	name := filepath.Join(dir, "out.json.gz")
	fails, known := errors.New("cut short"), false
	fill := func(err error) func(io.Writer) error {
		return func(w io.Writer) error {
			io.WriteString(w, "text")
			entries, _ := os.ReadDir(dir)
			for _, e := range entries {
				if e.Name() == filepath.Base(name) && !known {
					t.Error("the file is there before it is whole")
				}
			}
			return err
		}
	}
	if err := WriteFile(name, fill(fails)); !errors.Is(err, fails) {
		t.Error(err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	if err := WriteFile(name, fill(nil)); err != nil {
		t.Fatal(err)
	}
	known = true
	before, _ := os.ReadFile(name)
	if !strings.HasPrefix(string(before), "\x1f\x8b") {
		t.Error("it is not compressed")
	}
	link := filepath.Join(dir, "link.json")
	if err := os.Symlink("out.json.gz", link); err != nil {
		t.Fatal(err)
	}
	if err := WriteFile(link, fill(fails)); !errors.Is(err, fails) {
		t.Error(err)
	}
	if after, _ := os.ReadFile(name); !bytes.Equal(before, after) {
		t.Error("an export that failed changed the file of before")
	}
	known = true
	dead, err := os.OpenFile(TemporaryName(name), os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if locked, err := Lock(dead); err != nil || !locked {
		t.Fatal(locked, err)
	}
	if err := WriteFile(name, fill(nil)); err == nil || !strings.Contains(err.Error(),
		"another export to "+name+" runs") {
		t.Errorf("two exports to one file: %v", err)
	}
	io.WriteString(dead, strings.Repeat("what an export left that was killed", 100))
	dead.Close() // as by a kill
	if err := WriteFile(name, fill(nil)); err != nil {
		t.Error(err)
	}
	if after, _ := os.ReadFile(name); !bytes.Equal(before, after) {
		t.Errorf("it is %d bytes long, and was %d", len(after), len(before))
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*pxkv*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if err := WriteFile(os.DevNull, fill(nil)); err != nil {
		t.Error(err)
	}
	if info, err := os.Stat(os.DevNull); err != nil || info.Mode().IsRegular() {
		t.Fatal("the null device was replaced")
	}
}
