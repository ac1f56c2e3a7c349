package main

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"pxkv/cmd/pxkv/load"
)

func newFsyncCommand() *cobra.Command {
	var output outputFlag
	var dir string
	var size, count int
	cmd := &cobra.Command{
		Use:   "fsync",
		Short: "Measure how long the disk takes to make a small append durable",
		Long: `Append to a file and make it durable, again and again, with fdatasync and with fsync.
Every write waits for at least one of these on each of a majority of its replicas, so
this is the least that a write can take.`,
		Args: takes(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := output.check(cmd); err != nil {
				return err
			}
			if size < 1 || size > 1<<20 || count < 1 || count > 1_000_000 {
				return usageError(cmd, "--size must be 1 to 1048576 and --count 1 to 1000000")
			}
			r, err := load.MeasureFsync(cmd.Context(), dir, size, count)
			if err != nil {
				return err
			}
			if output.json() {
				return writeJSON(cmd.OutOrStdout(), r)
			}
			t := newTable(cmd.OutOrStdout())
			fmt.Fprintf(t, "%d-byte appends on %s, ms\tp50\tp90\tp99\tmax\n", r.Size, runtime.GOOS)
			fmt.Fprintf(t, "fdatasync\t%.3f\t%.3f\t%.3f\t%.3f\n", r.Fdatasync.P50, r.Fdatasync.P90, r.Fdatasync.P99,
				r.Fdatasync.Max)
			fmt.Fprintf(t, "fsync\t%.3f\t%.3f\t%.3f\t%.3f\n", r.Fsync.P50, r.Fsync.P90, r.Fsync.P99, r.Fsync.Max)
			return t.Flush()
		},
	}
	output.add(cmd)
	cmd.Flags().StringVar(&dir, "dir", ".", "directory on the disk to measure; must exist")
	cmd.Flags().IntVar(&size, "size", 256, "bytes of an append")
	cmd.Flags().IntVar(&count, "count", 1000, "appends with each of the two calls")
	return cmd
}
