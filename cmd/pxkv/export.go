package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"pxkv/cmd/pxkv/transfer"
)

// exportFlags are the flags of export.
type exportFlags struct {
	client clientFlags
	narrow narrowFlags
	dirs   dirFlags
	format string
}

func newExportCommand() *cobra.Command {
	var flags exportFlags
	cmd := &cobra.Command{
		Use:   "export [FILE]",
		Short: "Write all pairs into a file, or some of them",
		Long: `Write the pairs of the whole cluster, or those that the filters let through, into FILE; without one,
or with "-", to standard output. "pxkv import" reads what it writes.

Formats: json is one object of pairs; it has no place for deadlines and content types, and how many it
left out is said. ndjson is one object a line, with all that is known of a pair. The file's name tells
which: .ndjson and .jsonl, else json. A name that ends with .gz or .zst is compressed.

FILE appears when it is whole and on disk; until then, and when something fails, there is none, or the
one of before. When the connection breaks, the export goes on behind the last pair, at the next of
several --server. It is not one snapshot: a key that is written meanwhile has its old or its new value.

With --data-dir it reads the data directories of stopped nodes, as they are, and changes nothing in them:
the way out when a majority is lost for good. With those of a majority it writes all that was ever
acknowledged. With fewer it says what may be missing, and writes what there is with --partial.`,
		Example: "  pxkv export store.json\n  pxkv export all.ndjson.zst\n" +
			"  pxkv export --prefix user: users.ndjson\n" +
			"  pxkv export --data-dir /data/n1 --data-dir /data/n2 all.ndjson\n" +
			"  pxkv export --format ndjson | grep -c '\"expires\":'",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usageError(cmd, "unexpected argument %q", args[1])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return runExport(cmd, &flags, append(args, "-")[0])
		},
	}
	flags.client.add(cmd)
	flags.narrow.add(cmd)
	flags.dirs.add(cmd)
	cmd.Flags().StringVar(&flags.format, "format", "", "json or ndjson (default: by the file's name, else json)")
	return cmd
}

func runExport(cmd *cobra.Command, flags *exportFlags, name string) error {
	format := cmp.Or(transfer.FormatOf(name), transfer.JSON)
	if cmd.Flags().Changed("format") {
		var err error
		if format, err = transfer.ParseFormat(flags.format, transfer.JSON, transfer.Lines); err != nil {
			return usageError(cmd, "--format: %w", err)
		}
	}
	if err := flags.narrow.check(cmd); err != nil {
		return err
	}
	if err := flags.dirs.check(cmd); err != nil {
		return err
	}
	if len(flags.dirs.dirs) > 0 {
		return exportDirs(cmd, flags, format, name)
	}
	c, err := flags.client.client(cmd)
	if err != nil {
		return err
	}
	line := newTransferLine(cmd.ErrOrStderr(), 0)
	x := &transfer.Export{
		From: &lister{client: c}, Query: flags.narrow.query(), Format: format, Progress: line.report(),
	}
	var done transfer.Exported
	err = writeExport(cmd, name, func(w io.Writer) (err error) {
		done, err = x.Run(cmd.Context(), w)
		return err
	})
	line.clear()
	if err != nil {
		return exportError(cmd.Context(), c, name, done.Pairs, err)
	}
	sayExported(cmd.ErrOrStderr(), name, format, done)
	return nil
}

// exportError says that an export is not whole.
func exportError(ctx context.Context, c *client, name string, pairs int, err error) error {
	if pairs == 0 {
		if _, ok := errors.AsType[*transfer.OutputError](err); !ok {
			return err // it did not begin
		}
	}
	left := "what was printed is not all of it"
	if name != "-" {
		left = "nothing was left at " + name
	}
	switch _, output := errors.AsType[*transfer.OutputError](err); {
	case ctx.Err() != nil:
		return fmt.Errorf("interrupted after %s; %s", plural(pairs, "pair"), left)
	case output:
		return fmt.Errorf("%w, after %s; %s", err, plural(pairs, "pair"), left)
	}
	return fmt.Errorf("the list from %s broke off after %s, and could not be continued: %w; %s", c.base,
		plural(pairs, "pair"), err, left)
}

// sayExported tells what was written, and what the format has no place for.
func sayExported(w io.Writer, name string, format transfer.Format, done transfer.Exported) {
	if format == transfer.JSON && done.Deadlines+done.ContentTypes > 0 {
		fmt.Fprintf(w, "not kept by the format json: %s, %s; ndjson keeps them\n",
			plural(done.Deadlines, "deadline"), plural(done.ContentTypes, "content type"))
	}
	if format == transfer.JSON && done.Lookalikes > 0 {
		fmt.Fprintf(w, "%s of the one member $binary cannot be told from bytes in the format json; ndjson tells them "+
			"apart\n",
			plural(done.Lookalikes, "JSON object"))
	}
	to := ""
	if name != "-" {
		to = " to " + name
	}
	fmt.Fprintf(w, "exported %s%s\n", plural(done.Pairs, "pair"), to)
}
