package main

import (
	"fmt"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/spf13/cobra"

	"pxkv/node/kv"
	"pxkv/node/meta"
	"pxkv/persist"
)

func newRebuildCommand() *cobra.Command {
	var dir string
	var encryption encryptionFlag
	cmd := &cobra.Command{
		Use:   "rebuild PARTITION",
		Short: "Give a node's copy of a partition up, in favour of the others",
		Long: `Give this node's copy of a partition up: from its next start on the node asks the
partition's leader for another one, and shows the old one to nobody. It keeps its vote.

It is for replicas that differ where no majority could say which is right, so that the
partition is not served: see "Replicas differ" in docs/operations.md. What only this copy
has right is lost. A copy that is the only one is kept.`,
		Example: "  pxkv rebuild 17 --data-dir /var/lib/pxkv   # and then restart the node",
		Args:    takes("PARTITION"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := fromEnvironment(cmd.Flags()); err != nil {
				return usageError(cmd, "%w", err)
			}
			p, err := kv.ParsePartition(args[0])
			if err != nil {
				return usageError(cmd, "%w", err)
			}
			if p >= meta.MaxPartitions && p != kv.Meta {
				return usageError(cmd, "there is no partition %s: no cluster has more than %d", p, meta.MaxPartitions)
			}
			if err := encryption.check(); err != nil {
				return usageError(cmd, "%w", err)
			}
			keys, err := encryption.keys()
			if err != nil {
				return err
			}
			disk, err := persist.Unlock(vfs.Default, dir, keys)
			if err == nil {
				err = persist.GiveUp(disk, dir, p)
			}
			if err != nil {
				return fmt.Errorf("give partition %s up in %s: %w", p, dir, err)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(),
				"partition %s is rebuilt from its leader when the node of %s is started next; "+
					"its log says so if that has no copy, or the only one\n", p, dir)
			return err
		},
	}
	encryption.add(cmd.Flags())
	cmd.Flags().StringVar(&dir, "data-dir", "./pxkv-data", "where the node's data lies")
	return cmd
}
