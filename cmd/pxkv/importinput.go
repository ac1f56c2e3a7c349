package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"pxkv/cmd/pxkv/transfer"
)

// importInput is what an import reads.
type importInput struct {
	name  string
	size  int64       // in bytes, 0 when it is not known
	info  fs.FileInfo // nil when a later import could not read it again
	from  io.Reader   // of what is read once
	file  *os.File    // of what may be read again
	spool bool        // file is a copy that goes in the end
	stop  func()      // ends what reads ahead of from; nil when nothing does
}

// openImport opens a file, or standard input, of which it makes a file when it must be read twice.
func openImport(cmd *cobra.Command, name string, twice bool) (*importInput, error) {
	in := &importInput{name: name}
	switch {
	case name == "-" && twice:
		in.name, in.spool = "standard input", true
		return in, in.fill(cmd.Context(), cmd.InOrStdin())
	case name == "-":
		in.name = "standard input"
		in.once(cmd.Context(), cmd.InOrStdin())
		return in, nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("%w; nothing was written", err)
	}
	info, err := f.Stat()
	switch {
	case err != nil:
		f.Close()
		return nil, fmt.Errorf("%w; nothing was written", err)
	case info.IsDir():
		f.Close()
		return nil, fmt.Errorf("%s is a directory; nothing was written", name)
	case info.Mode().IsRegular():
		in.file, in.info, in.size = f, info, info.Size()
	case twice:
		defer f.Close()
		in.spool = true
		return in, in.fill(cmd.Context(), f)
	default:
		in.file = f
		in.once(cmd.Context(), f)
	}
	return in, nil
}

// once takes what can be read once. Reading it ends with ctx, also where nothing comes.
func (in *importInput) once(ctx context.Context, from io.Reader) {
	out, w := io.Pipe()
	go func() {
		_, err := io.Copy(w, from)
		w.CloseWithError(err)
	}()
	forget := context.AfterFunc(ctx, func() { w.CloseWithError(context.Cause(ctx)) })
	in.from, in.stop = out, func() {
		forget()
		_ = out.Close()
	}
}

// fill copies what can be read once into a file.
func (in *importInput) fill(ctx context.Context, from io.Reader) (err error) {
	if in.file, err = os.CreateTemp("", "pxkv-import-*"); err == nil {
		in.once(ctx, from)
		in.size, err = io.Copy(in.file, in.from)
		in.from = nil
	}
	if err != nil {
		in.close()
		return fmt.Errorf("keeping %s in a file, to read it twice: %w; nothing was written", in.name, err)
	}
	return nil
}

// open returns the input from its beginning.
func (in *importInput) open() (io.Reader, error) {
	if in.from != nil {
		return in.from, nil
	}
	_, err := in.file.Seek(0, io.SeekStart)
	return in.file, err
}

// lock takes the file for this import, so that no other one writes down how far it is at the same place.
func (in *importInput) lock() error {
	if in.info == nil {
		return nil
	}
	locked, err := transfer.Lock(in.file)
	if err == nil && !locked {
		return fmt.Errorf("another import of %s runs; wait for its end, or end it, and run this one again", in.name)
	}
	return err
}

func (in *importInput) close() {
	if in.stop != nil {
		in.stop()
	}
	if in.file == nil {
		return
	}
	if err := in.file.Close(); in.spool && !errors.Is(err, os.ErrClosed) {
		_ = os.Remove(in.file.Name())
	}
}
