package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"pxkv/cmd/pxkv/transfer"
	"pxkv/node/kv"
)

// importFlags are the flags of import.
type importFlags struct {
	client   clientFlags
	output   outputFlag
	format   string
	prefix   string
	ifAbsent bool
	dryRun   bool
	strict   bool
	restart  bool
	database uint64
	retryFor time.Duration
}

func newImportCommand() *cobra.Command {
	var flags importFlags
	cmd := &cobra.Command{
		Use:   "import FILE|-",
		Short: "Write all pairs of a file into the cluster",
		Long: `Write all pairs of FILE, or of standard input ("-"), into the cluster: what "pxkv export" wrote, or
one JSON object of pairs of any origin. It may be compressed with gzip or zstd.

Formats: json is one object of pairs, ndjson one object a line, with "key", "value" and perhaps "expires"
and "content_type". The file's name tells which: .json, or .ndjson and .jsonl, perhaps with .gz or .zst;
else its content: ndjson, when its first line is by itself an object of a "key" that is a string, a
"value", and no member that lines do not have. --format overrides both. A dump of Redis or Valkey (an
RDB file) is known by its content: its strings come in with their deadlines, keys of other types are
left out and counted, and so are those of other databases than --db.

A pair that cannot be imported is reported with its line, the others are imported, and the exit code is
1; with --strict nothing is written then. Pairs whose deadline has passed are left out. Pairs of one
key take effect in their order; with --if-absent the first does.

What was certainly not done is tried again. What may or may not have been done is, too: the same put
twice is the same as once, unless others write the same keys meanwhile. With --if-absent a pair whose
first try was not answered, and that is there when it is tried again, counts as present.

When an import is interrupted, run it again: FILE` + transfer.StateName("") + ` tells it where to go on. That file goes when
all is done. It holds to the file, the cluster and the options; --restart begins anew.`,
		Example: "  pxkv import store.json\n  pxkv import all.ndjson.zst --if-absent\n" +
			"  pxkv import store.json --dry-run\n  pxkv import /var/lib/redis/dump.rdb\n" +
			"  zcat old.gz | pxkv import - --strict --prefix user:",
		Args: takes("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := flags.output.check(cmd); err != nil {
				return err
			}
			return runImport(cmd, &flags, args[0])
		},
	}
	flags.client.add(cmd)
	flags.output.add(cmd)
	f := cmd.Flags()
	f.StringVar(&flags.format, "format", "", "json, ndjson or rdb (default: see above)")
	f.StringVar(&flags.prefix, "prefix", "", "only keys that begin so")
	f.Uint64Var(&flags.database, "db", 0, "of a dump of Redis, only the keys of this database")
	f.BoolVar(&flags.ifAbsent, "if-absent", false, "only keys that are not there")
	f.BoolVar(&flags.dryRun, "dry-run", false, "check all and write nothing; no node is asked")
	f.BoolVar(&flags.strict, "strict", false, "write nothing when a pair is bad; standard input is kept in a file")
	f.BoolVar(&flags.restart, "restart", false, "begin anew, whatever an earlier import has done")
	f.DurationVar(&flags.retryFor, "retry-for", time.Minute, "give up when nothing could be written for so long")
	return cmd
}

func runImport(cmd *cobra.Command, flags *importFlags, name string) error {
	format := transfer.FormatOf(name)
	if cmd.Flags().Changed("format") {
		var err error
		if format, err = transfer.ParseFormat(flags.format, transfer.JSON, transfer.Lines, transfer.Dump); err != nil {
			return usageError(cmd, "--format: %w", err)
		}
	}
	if flags.retryFor < 0 {
		return usageError(cmd, "--retry-for cannot be negative, as in %v; 0 tries everything once", flags.retryFor)
	}
	c, err := flags.client.client(cmd)
	if err != nil {
		return err
	}
	in, err := openImport(cmd, name, flags.strict)
	if err != nil {
		return err
	}
	defer in.close()
	r := &importRun{cmd: cmd, flags: flags, in: in, format: format}
	if flags.strict || flags.dryRun {
		if counts, err := r.run(&transfer.Import{}); err != nil || flags.dryRun || counts.Bad > 0 {
			return r.end(counts, r.brokenCheck(err), true)
		}
	}
	if err := in.lock(); err != nil {
		return err
	}
	state, err := r.state(c)
	if err != nil {
		return err
	}
	store := newBatcher(c)
	defer store.close()
	counts, err := r.run(&transfer.Import{Store: store, State: state, RetryFor: flags.retryFor})
	if err != nil {
		return r.end(counts, r.broken(state, err), false)
	}
	return r.end(counts, state.Remove(), false)
}

// importRun is one import.
type importRun struct {
	cmd    *cobra.Command
	flags  *importFlags
	in     *importInput
	format transfer.Format
	faults int
	torn   bool // it could not be read to its end
}

// state returns how far an earlier import of the file is, nil when it cannot be read again. It asks the cluster who it
// is, and so finds out before anything else that it cannot be reached.
func (r *importRun) state(c *client) (*transfer.State, error) {
	var cluster kv.ClusterView
	if err := c.view(r.cmd.Context(), "/cluster", &cluster); err != nil {
		return nil, err
	}
	if r.in.info == nil {
		return nil, nil
	}
	format := cmp.Or(r.format, "by content")
	options := fmt.Sprintf("--format=%s --prefix=%q --if-absent=%v", format, r.flags.prefix, r.flags.ifAbsent)
	if r.flags.database != 0 {
		options += fmt.Sprintf(" --db=%d", r.flags.database)
	}
	state := transfer.NewState(r.in.name, r.in.info, cluster.ID.String(), options)
	if r.flags.restart {
		return state, nil
	}
	if err := state.Resume(); err != nil {
		return nil, err
	}
	if state.Entries > 0 {
		fmt.Fprintf(r.cmd.ErrOrStderr(), "going on behind pair %d\n", state.Entries)
	}
	return state, nil
}

// run reads the file once, with what im says to do with its pairs.
func (r *importRun) run(im *transfer.Import) (counts transfer.Counts, err error) {
	file, err := r.in.open()
	if err != nil {
		return counts, err
	}
	counted := &transfer.CountedReader{R: file}
	from, err := transfer.Open(counted, r.format)
	if err != nil {
		return counts, fmt.Errorf("reading %s: %w; nothing was written", r.in.name, err)
	}
	defer from.Close()
	if from.Format != transfer.Dump && r.cmd.Flags().Changed("db") {
		return counts, usageError(r.cmd, "--db is for dumps of Redis, and %s is none", r.in.name)
	}
	stderr := r.cmd.ErrOrStderr()
	line := newTransferLine(stderr, r.in.size)
	defer line.clear()
	im.IfAbsent, im.Prefix, im.Now = r.flags.ifAbsent, []byte(r.flags.prefix), time.Now
	im.Database = r.flags.database
	im.Progress, im.Bytes = line.report(), counted.Bytes
	im.Warn = func(err error) {
		line.clear()
		fmt.Fprintf(stderr, "pxkv: %v\n", err)
	}
	im.Fault = func(f *transfer.Fault) {
		r.torn = r.torn || f.Last
		if r.faults++; r.faults <= mostFaults {
			line.clear()
			fmt.Fprintf(stderr, "%s: %v\n", r.in.name, f)
		}
	}
	return im.Run(r.cmd.Context(), from)
}

// mostFaults is how many bad pairs are shown.
const mostFaults = 20

// broken says what an import that did not end has to do with the next one.
func (r *importRun) broken(state *transfer.State, err error) error {
	if exitCode(err) == exitUsage {
		return err
	}
	if errors.Is(err, context.Canceled) {
		err = errors.New("interrupted")
	}
	if state == nil {
		return importError(err, "%w; what was read from standard input up to here may be written", err)
	}
	return importError(err, "%w; run it again, and it goes on from there", err)
}

// brokenCheck says what it means that the file was not looked through to its end.
func (r *importRun) brokenCheck(err error) error {
	if r.cmd.Context().Err() == nil || err == nil {
		return err
	}
	return fmt.Errorf("interrupted while %s was checked; nothing was written", r.in.name)
}

// importError makes an error that has the exit code of its cause.
func importError(cause error, format string, args ...any) error {
	if f, ok := errors.AsType[*transfer.Failure](cause); ok && f.Ending == transfer.Unknown {
		return failure(exitUnknown, format, args...)
	}
	return failure(exitFailed, format, args...)
}

// importSummary is what --output json shows.
type importSummary struct {
	File string `json:"file"`
	transfer.Counts
	Written bool `json:"written"` // false: this was a check only
	Whole   bool `json:"whole"`   // the file was read to its end
}

// end tells what became of the pairs. check says that nothing was to be written.
func (r *importRun) end(counts transfer.Counts, err error, check bool) error {
	if exitCode(err) == exitUsage {
		return err // nothing was read
	}
	if more := r.faults - mostFaults; more > 0 {
		fmt.Fprintf(r.cmd.ErrOrStderr(), "%s: and %s more that cannot be imported\n", r.in.name, plural(more, "pair"))
	}
	var told error
	if r.flags.output.json() {
		told = writeJSON(r.cmd.OutOrStdout(), importSummary{r.in.name, counts, !check, err == nil && !r.torn})
	} else {
		told = writeCounts(r.cmd.OutOrStdout(), counts, check)
	}
	switch {
	case err != nil:
		return err
	case counts.Bad == 0:
		return told
	case r.flags.dryRun:
		return fmt.Errorf("%s of %s cannot be imported", plural(counts.Bad, "pair"), r.in.name)
	case check:
		return fmt.Errorf("%s of %s cannot be imported; nothing was written", plural(counts.Bad, "pair"), r.in.name)
	}
	return fmt.Errorf("%s of %s could not be imported", plural(counts.Bad, "pair"), r.in.name)
}

func were(n int) string {
	if n == 1 {
		return "was"
	}
	return "were"
}

// writeCounts prints a summary for people.
func writeCounts(w io.Writer, c transfer.Counts, check bool) error {
	verb := "imported"
	if check {
		verb = "could import"
	}
	var out []string
	for _, skipped := range []struct {
		n    int
		what string
	}{{c.Present, "present"}, {c.Expired, "expired"}, {c.Filtered, "with another prefix"},
		{c.Others.Sum(), "of other types"}, {c.Elsewhere, "of other databases"}} {
		if skipped.n > 0 {
			out = append(out, fmt.Sprintf("%d %s", skipped.n, skipped.what))
		}
	}
	text := fmt.Sprintf("%s %s, skipped %d", verb, plural(c.Imported, "pair"), c.Skipped())
	if len(out) > 0 {
		text += " (" + strings.Join(out, ", ") + ")"
	}
	text += fmt.Sprintf(", bad %d\n", c.Bad)
	if n := c.Others.Sum(); n > 0 {
		text += fmt.Sprintf("%s of other types %s left out: %s\n", plural(n, "key"), were(n), c.Others)
	}
	if n := c.Elsewhere; n > 0 {
		text += fmt.Sprintf("%s of other databases %s left out: --db N takes those of one\n", plural(n, "key"), were(n))
	}
	_, err := io.WriteString(w, text)
	return err
}
