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
	Key     string `json:"key"`
	Value   int64  `json:"value"`
	Version uint64 `json:"version"`
	Expires string `json:"expires,omitempty"`
	receipt
}

func newIncrCommand() *cobra.Command {
	var flags clientFlags
	var output outputFlag
	var by int64
	cmd := &cobra.Command{
		Use:   "incr KEY",
		Short: "Add to the integer that a key holds",
		Long: `Add to the integer that a key holds, and print the sum. A key that is absent counts as 0.
A value that is no integer of 64 bits stays as it is, and the exit code is 1.
Exit code 4: the addition was sent, but whether it was applied is not known.`,
		Example: "  pxkv incr visits\n  pxkv incr stock --by -3",
		Args:    takes("KEY"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := output.check(cmd); err != nil {
				return err
			}
			if err := checkKey(cmd, args[0]); err != nil {
				return err
			}
			c, err := flags.client(cmd)
			if err != nil {
				return err
			}
			r := &request{method: http.MethodPost, path: keyPath(args[0]), query: url.Values{"incr": {strconv.FormatInt(by, 10)}}}
			resp, err := c.do(cmd.Context(), r)
			if err != nil {
				return err
			}
			defer resp.Body.Close()
			return printCounted(cmd, c, args[0], resp, output.json())
		},
	}
	flags.add(cmd)
	output.add(cmd)
	cmd.Flags().Int64Var(&by, "by", 1, "how much to add; may be negative")
	return cmd
}

func printCounted(cmd *cobra.Command, c *client, key string, resp *http.Response, asJSON bool) error {
	n := counted{Expires: resp.Header.Get("X-Pxkv-Expires"), receipt: readReceipt(resp.Header)}
	if err := json.NewDecoder(resp.Body).Decode(&n); err != nil {
		return failure(exitFailed, "the addition was applied, but the sum in the answer of %s cannot be read: %w", c.base, err)
	}
	n.Key = key // as it was given: JSON shows bytes that are no text in another way
	n.Version, _ = parseETag(resp.Header.Get("Etag"))
	if asJSON {
		return writeJSON(cmd.OutOrStdout(), n)
	}
	_, err := fmt.Fprintln(cmd.OutOrStdout(), n.Value)
	return err
}
