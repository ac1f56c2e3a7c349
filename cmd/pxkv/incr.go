package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/spf13/cobra"
)

// counted is what an incr has to tell.
type counted struct {
	Key     keyText `json:"key"`
	Value   int64   `json:"value"`
	Version uint64  `json:"version"`
	Expires string  `json:"expires,omitempty"`
	receipt
}

func newIncrCommand() *cobra.Command {
	var by int64
	cmd := newKeyCommand(&cobra.Command{
		Use:   "incr KEY",
		Short: "Add to the integer that a key holds",
		Long: `Add to the integer that a key holds, and print the sum. A key that is absent counts as 0.
A value that is no integer of 64 bits stays as it is, and the exit code is 1.
Exit code 4: the addition was sent, but whether it was applied is not known.`,
		Example: "  pxkv incr visits\n  pxkv incr stock --by -3",
		Args:    takes("KEY"),
	}, func(k *keyCall) error {
		r := &request{
			method: http.MethodPost, path: keyPath(k.key), query: url.Values{"incr": {strconv.FormatInt(by, 10)}},
		}
		resp, err := k.do(k.cmd.Context(), r)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		return k.printCounted(resp)
	})
	cmd.Flags().Int64Var(&by, "by", 1, "how much to add; may be negative")
	return cmd
}

func (k *keyCall) printCounted(resp *http.Response) error {
	n := counted{Expires: resp.Header.Get("X-Pxkv-Expires"), receipt: readReceipt(resp.Header)}
	if err := json.NewDecoder(resp.Body).Decode(&n); err != nil {
		return failure(exitFailed, "the addition was applied, but the sum in the answer of %s cannot be read: %w",
			k.base, err)
	}
	n.Key = keyText(k.key) // as it was given
	n.Version = parseETag(resp.Header.Get("Etag"))
	if k.asJSON {
		return writeJSON(k.cmd.OutOrStdout(), n)
	}
	_, err := fmt.Fprintln(k.cmd.OutOrStdout(), n.Value)
	return err
}
