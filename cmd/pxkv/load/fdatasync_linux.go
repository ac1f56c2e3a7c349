package load

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// fdatasync makes the file's data, and its length, durable.
func fdatasync(f *os.File) error {
	for {
		if err := unix.Fdatasync(int(f.Fd())); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
