package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"pxkv/node/kv"
	"pxkv/persist/crypt"
)

const encryptionPath = "/cluster/encryption"

func newKeysCommand() *cobra.Command {
	cmd := newViewCommand("keys", "Show how a node's data directory is encrypted",
		`Show by which data keys the data directory of the node asked is encrypted: when each was
made, and how many files and bytes on the disk it still encrypts. It says nothing of other nodes.
See "Encryption at rest" in docs/operations.md.`,
		func(cmd *cobra.Command, c *client, asJSON bool) error {
			var view kv.EncryptionView
			if err := c.view(cmd.Context(), encryptionPath, &view); err != nil {
				return err
			}
			return showKeys(cmd.OutOrStdout(), &view, asJSON)
		})
	cmd.AddCommand(newKeysNewCommand(), newKeysRotateCommand())
	return cmd
}

func showKeys(w io.Writer, view *kv.EncryptionView, asJSON bool) error {
	if asJSON {
		return writeJSON(w, view)
	}
	if !view.Encrypted {
		_, err := fmt.Fprintln(w, "not encrypted")
		return err
	}
	fmt.Fprintf(w, "wrapped by key %s\n", view.WrappedBy)
	t := newTable(w)
	fmt.Fprintln(t, "DATA KEY\tMADE\tSTATE\tFILES\tBYTES")
	for _, k := range view.DataKeys {
		state := "old, being replaced"
		if k.Current {
			state = "current"
		}
		fmt.Fprintf(t, "%d\t%s\t%s\t%d\t%d\n", k.ID, k.Made.Format(time.RFC3339), state, k.Files, k.Bytes)
	}
	return t.Flush()
}

func newKeysNewCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "new",
		Short: "Print a fresh key",
		Long: `Print a fresh key, for a key file. It is kept nowhere: who loses it loses the data.
Put it first in the file, before the keys that are there, and rotate.`,
		Example: "  (umask 077; pxkv keys new > key; cat old-key >> key)",
		Args:    takes(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), crypt.NewKey().Text())
			return err
		},
	}
}

func newKeysRotateCommand() *cobra.Command {
	var all bool
	cmd := newViewCommand("rotate", "Encrypt a node's data directory by new keys, while it runs",
		`Let the node asked read its key file again, wrap its data keys by the first key in it, and
encrypt what it writes from now on by a new data key. What is there is rewritten in the
background; "pxkv keys" tells how far that is. When it is done the old data key is forgotten.
From the answer on the node needs the first key of its file only. It concerns that node alone, or with --all each
member of the cluster that it knows, one after the other.`,
		func(cmd *cobra.Command, c *client, asJSON bool) error {
			if all {
				return rotateAll(cmd, c, asJSON)
			}
			view, err := rotate(cmd, c)
			if err != nil {
				return err
			}
			return showKeys(cmd.OutOrStdout(), view, asJSON)
		})
	cmd.Flags().BoolVar(&all, "all", false, "every member of the cluster")
	return cmd
}

// rotate asks one node.
func rotate(cmd *cobra.Command, c *client) (*kv.EncryptionView, error) {
	resp, err := c.do(cmd.Context(), &request{method: http.MethodPost, path: encryptionPath})
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	view := new(kv.EncryptionView)
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxViewBytes)).Decode(view); err != nil {
		return nil, fmt.Errorf("the keys were rotated, and the answer of %s cannot be read: %w", c.base, err)
	}
	return view, nil
}

// rotated is what became of one member.
type rotated struct {
	Name  string             `json:"name"`
	Keys  *kv.EncryptionView `json:"keys,omitempty"`
	Error string             `json:"error,omitempty"`
}

// rotateAll asks all members. One that cannot does not keep the others from it.
func rotateAll(cmd *cobra.Command, c *client, asJSON bool) error {
	var view kv.ClusterView
	if err := c.view(cmd.Context(), "/cluster", &view); err != nil {
		return err
	}
	if err := inCluster(&view); err != nil {
		return err
	}
	var all []rotated
	var errs []error
	for _, m := range view.Members {
		r := rotated{Name: m.Name}
		base, err := parseServer(m.Addresses.HTTP)
		if err == nil {
			r.Keys, err = rotate(cmd, c.at(base))
		}
		if err != nil {
			r.Error = err.Error()
			errs = append(errs, fmt.Errorf("%s: %w", m.Name, err))
		}
		all = append(all, r)
	}
	if asJSON {
		return errors.Join(writeJSON(cmd.OutOrStdout(), all), errors.Join(errs...))
	}
	for _, r := range all {
		if r.Keys == nil {
			continue
		}
		fmt.Fprintf(cmd.OutOrStdout(), "%s: ", r.Name)
		if err := showKeys(cmd.OutOrStdout(), r.Keys, false); err != nil {
			return err
		}
	}
	return errors.Join(errs...)
}
