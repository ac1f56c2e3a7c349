package transfer

import (
	"errors"
	"fmt"
	"io"
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
	f, err := createTemporary(name)
	if err != nil {
		return err
	}
	err = writeCompressed(f, name, fill)
	if err == nil {
		err = outputError(f.Sync())
	}
	if err == nil {
		err = outputError(os.Rename(f.Name(), name))
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	// Closed last: from then on another export may take over what has the temporary name.
	if err = errors.Join(err, outputError(f.Close())); err != nil {
		return err
	}
	return syncDirectory(filepath.Dir(name))
}

// TemporaryName is where a file is until it is whole.
func TemporaryName(file string) string { return file + ".pxkv-export" }

// createTemporary makes the file under its temporary name, empty and locked: one that an export left which was killed
// is taken over, and one that is being written is not.
func createTemporary(name string) (*os.File, error) {
	temporary := TemporaryName(name)
	for {
		f, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE, 0o666)
		if err != nil {
			return nil, err
		}
		locked, err := Lock(f)
		if err == nil && !locked {
			err = fmt.Errorf("another export to %s runs", name)
		}
		now, gone := os.Stat(temporary)
		own, e := f.Stat()
		if err = errors.Join(err, e); err == nil && (gone != nil || !os.SameFile(now, own)) {
			_ = f.Close() // whoever had it is done with it
			continue
		}
		if err == nil {
			err = f.Truncate(0)
		}
		if err != nil {
			_ = f.Close()
			return nil, err
		}
		return f, nil
	}
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
