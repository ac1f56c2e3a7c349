//go:build unix

package transfer

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// An import goes on while the file that says how far it is is being written, however long that takes.
func TestImportDoesNotWaitForItsState(t *testing.T) {
	t.Parallel()
	state := &State{name: filepath.Join(t.TempDir(), "state")}
	pipe := state.name + ".tmp"
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Skip(err)
	}
	last := make(chan struct{})
	s := &fakeStore{before: func(call int, _ []put) (bool, error) {
		if call == 9 {
			close(last)
		}
		return true, nil
	}}
	read := make(chan error, 1)
	go func() {
		select {
		case <-last:
		case <-time.After(10 * time.Second):
			t.Error("the last batch is not sent while the state is written")
		}
		f, err := os.Open(pipe) // whoever opens it to write has waited for this
		if err == nil {
			err = f.Close()
		}
		read <- err
	}()
	counts, _, err := imported(t, s, numbered(30), func(im *Import) {
		im.State, im.Limits.SaveEvery = state, time.Nanosecond
		im.Warn = func(error) {} // no pipe can be synced
	})
	if err != nil || counts.Imported != 30 {
		t.Errorf("%+v %v", counts, err)
	}
	if err := <-read; err != nil {
		t.Error(err)
	}
}
