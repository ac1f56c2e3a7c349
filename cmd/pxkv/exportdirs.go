package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"

	"github.com/spf13/cobra"

	"pxkv/cmd/pxkv/transfer"
	"pxkv/node/kv"
	"pxkv/node/salvage"
	"pxkv/persist"
)

// dirFlags are the flags of export that are about data directories of stopped nodes.
type dirFlags struct {
	dirs        []string
	partial     bool
	uncommitted bool
	encryption  encryptionFlag
}

func (d *dirFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringArrayVar(&d.dirs, "data-dir", nil,
		"read this data directory of a node that is stopped, and ask no node; repeat it for more of them")
	f.BoolVar(&d.partial, "partial", false, "with --data-dir: also when something is or may be missing")
	f.BoolVar(&d.uncommitted, "with-uncommitted", false,
		"with --partial: also writes that may never have been acknowledged")
	d.encryption.add(f)
}

// check reports flags that do not go together.
func (d *dirFlags) check(cmd *cobra.Command) error {
	changed := cmd.Flags().Changed
	if err := d.encryption.check(); err != nil {
		return usageError(cmd, "%w", err)
	}
	switch {
	case len(d.dirs) == 0 && d.encryption.file != "":
		return usageError(cmd, "--%s goes with --data-dir only", keyFileFlag)
	case len(d.dirs) == 0 && (d.partial || d.uncommitted):
		return usageError(cmd, "--partial and --with-uncommitted go with --data-dir only")
	case len(d.dirs) > 0 && (changed("server") || changed("timeout")):
		return usageError(cmd, "--data-dir asks no node: --server and --timeout do not go with it")
	case d.uncommitted && !d.partial:
		return usageError(cmd, "--with-uncommitted goes with --partial only: where a majority is there, all that was "+
			"acknowledged is taken without it")
	}
	return nil
}

// exportDirs writes what the directories hold.
func exportDirs(cmd *cobra.Command, flags *exportFlags, format transfer.Format, name string) error {
	ctx, cancel := context.WithCancel(cmd.Context())
	defer cancel()
	stderr := cmd.ErrOrStderr()
	from := openDirs(ctx, flags, stderr)
	if err := from.wait(ctx); err != nil {
		return err
	}
	line := newTransferLine(stderr, 0)
	x := &transfer.Export{From: from, Format: format, Progress: line.report(), Once: true}
	var done transfer.Exported
	err := writeExport(cmd, name, func(w io.Writer) (err error) {
		done, err = x.Run(ctx, w)
		return err
	})
	line.clear()
	if e := from.end(); err == nil {
		err = e
	}
	if err != nil {
		return dirsError(cmd.Context(), name, done.Pairs, err)
	}
	sayExported(stderr, name, format, done)
	return nil
}

// writeExport writes to a file, or to standard output.
func writeExport(cmd *cobra.Command, name string, fill func(io.Writer) error) error {
	if name == "-" {
		return fill(cmd.OutOrStdout())
	}
	return transfer.WriteFile(name, fill)
}

// dirsError says that an export of directories is not whole.
func dirsError(ctx context.Context, name string, pairs int, err error) error {
	left := "what was printed is not all of it"
	if name != "-" {
		left = "nothing was left at " + name
	}
	if ctx.Err() != nil {
		return fmt.Errorf("interrupted after %s; %s", plural(pairs, "pair"), left)
	}
	return fmt.Errorf("after %s: %w; %s", plural(pairs, "pair"), err, left)
}

// dirLister is what an export asks that asks no node. One goroutine reads the directories and writes the list as fast
// as it is taken: a store that finds itself damaged says so and then keeps whoever reads it, for ever.
type dirLister struct {
	list   *io.PipeReader
	opened chan error // how opening ended, nil when there is a list
	ended  chan error // how closing them did
	fatal  chan error // what the first store said that found itself damaged
}

// openDirs begins to open the directories. It writes what was found to stderr.
func openDirs(ctx context.Context, flags *exportFlags, stderr io.Writer) *dirLister {
	list, w := io.Pipe()
	l := &dirLister{list: list, opened: make(chan error, 1), ended: make(chan error, 1), fatal: make(chan error, 1)}
	options := salvage.Options{Dirs: flags.dirs.dirs, Uncommitted: flags.dirs.uncommitted, Store: persist.Options{
		Keys: flags.dirs.encryption.keys,
		Fatal: func(text string) {
			w.CloseWithError(errors.New(text))
			select {
			case l.fatal <- errors.New(text):
			default:
			}
			select {}
		},
	}}
	go func() {
		s, err := salvage.Open(options)
		if err == nil {
			if err = tellFound(stderr, s.Report(), flags.dirs.partial); err != nil {
				err = errors.Join(err, s.Close())
			}
		}
		if l.opened <- err; err != nil {
			return
		}
		forget := context.AfterFunc(ctx, func() { w.CloseWithError(context.Cause(ctx)) })
		defer forget()
		w.CloseWithError(s.Pairs(flags.narrow.salvage(), func(it *kv.Item) error {
			_, err := w.Write(transfer.AppendLine(nil, it))
			return err
		}))
		l.ended <- s.Close()
	}()
	return l
}

// tellFound says what was found, and refuses what is not whole unless a part is wanted.
func tellFound(stderr io.Writer, r salvage.Report, partial bool) error {
	for _, line := range r.Lines() {
		fmt.Fprintf(stderr, "pxkv: %s\n", line)
	}
	if r.Whole() || partial {
		return nil
	}
	return errors.New("not all is in these directories: give those of more nodes, or take what there is by " +
		"--partial; nothing was written")
}

// wait waits until the directories are open.
func (l *dirLister) wait(ctx context.Context) error {
	select {
	case err := <-l.opened:
		return err
	case err := <-l.fatal:
		return fmt.Errorf("%w; nothing was written", err)
	case <-ctx.Done():
		return errors.New("interrupted while the directories were opened; nothing was written")
	}
}

// end waits until the directories are closed.
func (l *dirLister) end() error {
	_ = l.list.Close()
	select {
	case err := <-l.ended:
		return err
	case err := <-l.fatal:
		return err
	}
}

// List implements transfer.Lister.
func (l *dirLister) List(context.Context, url.Values) (io.ReadCloser, error) { return l.list, nil }

// salvage says in the words of the directories which pairs are wanted.
func (n narrowFlags) salvage() salvage.Query {
	return salvage.Query{
		Prefix: []byte(*n["prefix"]), From: []byte(*n["from"]), To: []byte(*n["to"]),
		Filter: kv.Filter{Glob: *n["glob"], Regex: *n["regex"], Type: *n["type"], Where: *n["where"]},
	}
}
