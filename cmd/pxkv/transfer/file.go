package transfer

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// WriteFile writes a file by what fill writes, under a temporary name beside it. It gets its own name when it is whole
// and on disk; after an error there is no file, or the one that was there before. What is there and no regular file, as
// a device or a pipe, is written as it is.
func WriteFile(name string, fill func(io.Writer) error) error {
	if target, err := filepath.EvalSymlinks(name); err == nil {
		name = target // a link stays one
	}
	if info, err := os.Stat(name); err == nil && !info.Mode().IsRegular() {
		return writeDevice(name, fill)
	}
	f, err := os.OpenFile(fmt.Sprintf("%s.%d.tmp", name, os.Getpid()), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%w: another export to it runs, or did not end; delete it in that case", err)
	}
	if err != nil {
		return err
	}
	err = writeCompressed(f, name, fill)
	if err == nil {
		err = outputError(f.Sync())
	}
	err = errors.Join(err, outputError(f.Close()))
	if err == nil {
		err = outputError(os.Rename(f.Name(), name))
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return err
	}
	return syncDirectory(filepath.Dir(name))
}

func writeDevice(name string, fill func(io.Writer) error) error {
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	err = writeCompressed(f, name, fill)
	return errors.Join(err, outputError(f.Close()))
}

func writeCompressed(f *os.File, name string, fill func(io.Writer) error) error {
	w, err := Compress(f, name)
	if err != nil {
		return err
	}
	err = fill(w)
	return errors.Join(err, outputError(w.Close()))
}

func outputError(err error) error {
	if err == nil {
		return nil
	}
	return &OutputError{err}
}

// syncDirectory makes a new name durable, where directories can be synced.
func syncDirectory(name string) error {
	d, err := os.Open(name)
	if err != nil {
		return nil // the file is there; its directory may be closed to us
	}
	defer d.Close()
	if err := d.Sync(); err != nil && !errors.Is(err, errors.ErrUnsupported) && !errors.Is(err, os.ErrInvalid) {
		return &OutputError{err}
	}
	return nil
}
