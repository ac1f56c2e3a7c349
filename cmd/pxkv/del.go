package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
)

// delFlags are what del knows beside the node.
type delFlags struct {
	ifMatch uint64
	prefix  string
	yes     bool
}

func newDelCommand() *cobra.Command {
	var flags clientFlags
	var del delFlags
	cmd := &cobra.Command{
		Use:     "del KEY...",
		Aliases: []string{"delete"},
		Short:   "Delete keys",
		Long: `Delete keys, or with --prefix all that begin so: they are counted first, and on a terminal
you are asked; elsewhere --yes is needed. What is written meanwhile under the prefix may stay.
Exit code 3 when a key does not exist, 1 when --if-match does not hold,
4 when a deletion was sent, but whether it was applied is not known.`,
		Example: "  pxkv del greeting\n  pxkv del a b c\n  pxkv del --prefix session: --yes",
		Args:    cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			byPrefix := cmd.Flags().Changed("prefix")
			switch {
			case byPrefix && len(args) > 0:
				return usageError(cmd, "give keys or --prefix, not both")
			case !byPrefix && len(args) == 0:
				return usageError(cmd, "missing KEY")
			case cmd.Flags().Changed("if-match") && len(args) != 1:
				return usageError(cmd, "--if-match goes with one key")
			}
			for _, key := range args {
				if err := checkKey(cmd, key); err != nil {
					return err
				}
			}
			c, err := flags.client(cmd)
			switch {
			case err != nil:
				return err
			case byPrefix:
				return c.deletePrefix(cmd, &del)
			case len(args) > 1:
				return c.deleteSeveral(cmd, args)
			}
			return c.deleteOne(cmd, args[0], del.ifMatch)
		},
	}
	flags.add(cmd)
	cmd.Flags().Uint64Var(&del.ifMatch, "if-match", 0, "only if the key is at this version")
	cmd.Flags().StringVar(&del.prefix, "prefix", "", "all keys that begin so; \"\" is all keys")
	cmd.Flags().BoolVarP(&del.yes, "yes", "y", false, "do not ask before deleting by --prefix")
	return cmd
}

func (c *client) deleteOne(cmd *cobra.Command, key string, version uint64) error {
	header := make(http.Header)
	if cmd.Flags().Changed("if-match") {
		header.Set("If-Match", strconv.Quote(strconv.FormatUint(version, 10)))
	}
	resp, err := c.do(cmd.Context(), &request{method: http.MethodDelete, path: keyPath(key), header: header})
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = fmt.Fprintln(cmd.OutOrStdout(), "deleted")
	return err
}

func (c *client) deleteSeveral(cmd *cobra.Command, keys []string) error {
	texts := make([]json.RawMessage, len(keys))
	for i, key := range keys {
		texts[i], _ = keyText(key).MarshalJSON() // fails for no key
	}
	gone, err := c.deleteAll(cmd, texts)
	fmt.Fprintf(cmd.OutOrStdout(), "deleted %d of %d\n", gone, len(keys))
	if err == nil && gone < len(keys) {
		return failure(exitNotFound, "%d of %d keys were not there (asked %s)", len(keys)-gone, len(keys), c.base)
	}
	return err
}

// deletePrefix counts the keys, asks, and deletes them.
func (c *client) deletePrefix(cmd *cobra.Command, del *delFlags) error {
	count := 0
	if err := c.eachKey(cmd, del.prefix, func(json.RawMessage) error { count++; return nil }); err != nil {
		return err
	}
	what := fmt.Sprintf("%d keys that begin with %q", count, del.prefix)
	if del.prefix == "" {
		what = fmt.Sprintf("all %d keys", count)
	}
	if count == 0 {
		return failure(exitNotFound, "no key begins with %q (asked %s)", del.prefix, c.base)
	}
	if !del.yes {
		in, ok := cmd.InOrStdin().(*os.File)
		if !ok || !isTerminal(in) {
			return usageError(cmd, "there are %s: to delete them without being asked, add --yes", what)
		}
		fmt.Fprintf(cmd.ErrOrStderr(), "Delete %s? [y/N] ", what)
		answer, _ := bufio.NewReader(in).ReadString('\n')
		if !slices.Contains([]string{"y", "yes"}, strings.ToLower(strings.TrimSpace(answer))) {
			return failure(exitFailed, "nothing was deleted")
		}
	}
	gone := 0
	var some []json.RawMessage
	flush := func() error {
		n, err := c.deleteAll(cmd, some)
		gone, some = gone+n, some[:0]
		return err
	}
	err := c.eachKey(cmd, del.prefix, func(key json.RawMessage) error {
		if some = append(some, bytes.Clone(key)); len(some) == maxBatch {
			return flush()
		}
		return nil
	})
	if err == nil {
		err = flush()
	}
	fmt.Fprintf(cmd.OutOrStdout(), "deleted %d\n", gone)
	return err
}

// eachKey calls f for the JSON text of every key that begins with prefix.
func (c *client) eachKey(cmd *cobra.Command, prefix string, f func(key json.RawMessage) error) error {
	list := &listFlags{narrow: map[string]*string{"prefix": &prefix}, keysOnly: true}
	for cursor := ""; ; {
		resp, err := c.do(cmd.Context(), &request{
			method: http.MethodGet, path: "/kv", query: list.query(maxPage, cursor),
		})
		if err != nil {
			return err
		}
		_, err = decodeList(resp.Body, func(key, _ json.RawMessage) error { return f(key) })
		resp.Body.Close()
		if err != nil {
			return fmt.Errorf("the list of keys from %s: %w", c.base, err)
		}
		if cursor = resp.Header.Get("X-Pxkv-Cursor"); cursor == "" {
			return nil
		}
	}
}

// maxBatch is how many operations a node takes at once.
const maxBatch = 1000

// deleteAll deletes keys, given as JSON texts, and returns how many there were. The first that was
// not deleted, or of which nobody knows, is an error.
func (c *client) deleteAll(cmd *cobra.Command, keys []json.RawMessage) (gone int, err error) {
	for some := range slices.Chunk(keys, maxBatch) {
		body := []byte(`{"ops":[`)
		for i, key := range some {
			if i > 0 {
				body = append(body, ',')
			}
			body = append(append(append(body, `{"op":"delete","key":`...), key...), '}')
		}
		body = append(body, "]}"...)
		resp, err := c.do(cmd.Context(), &request{method: http.MethodPost, path: "/batch", body: body})
		if err != nil {
			return gone, err
		}
		var answer struct {
			Results []struct {
				Status int    `json:"status"`
				Error  string `json:"error"`
				Code   string `json:"code"`
			} `json:"results"`
		}
		err = json.NewDecoder(io.LimitReader(resp.Body, maxViewBytes)).Decode(&answer)
		resp.Body.Close()
		if err != nil || len(answer.Results) != len(some) {
			return gone, failure(exitUnknown, "outcome unknown: the answer of %s to %d deletions cannot be read",
				c.base, len(some))
		}
		var first error
		for i, r := range answer.Results {
			switch {
			case r.Status == http.StatusOK:
				gone++
			case r.Status == http.StatusNotFound || first != nil:
			case isUnknown(r.Status, r.Code):
				first = failure(exitUnknown, "outcome unknown for key %s, says %s (%s)", some[i], c.base, r.Error)
			default:
				first = fmt.Errorf("key %s was not deleted, says %s: %s", some[i], c.base, r.Error)
			}
		}
		if first != nil {
			return gone, first
		}
	}
	return gone, nil
}
