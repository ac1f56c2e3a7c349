//go:build unix

package overlay

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// lock takes a lock file as a reader: a process that has it as a writer does, and every store that is in use, lets
// nobody have it. The lock is of this process, and ends with the first close of the file in it.
func lock(name string) (io.Closer, error) {
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return io.NopCloser(nil), nil // nobody ever had it
	}
	if err != nil {
		return nil, err
	}
	as := unix.Flock_t{Type: unix.F_RDLCK, Whence: io.SeekStart}
	if err := unix.FcntlFlock(f.Fd(), unix.F_SETLK, &as); err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", name, err), f.Close())
	}
	return f, nil
}
