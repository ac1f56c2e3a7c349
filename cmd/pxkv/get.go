package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"pxkv/node/kv"
)

func newGetCommand() *cobra.Command {
	var flags clientFlags
	var output outputFlag
	cmd := &cobra.Command{
		Use:   "get KEY",
		Short: "Print the value of a key",
		Long: `Print the value of a key, byte for byte. A newline follows only on a terminal.
With --output json: key, value, type, version, deadline and where the answer came from.
Exit code 3 when there is no such key.`,
		Example: "  pxkv get greeting\n  pxkv get photo > photo.jpg\n  pxkv get greeting --output json",
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
			return get(cmd, c, args[0], output.json())
		},
	}
	flags.add(cmd)
	output.add(cmd)
	return cmd
}

func get(cmd *cobra.Command, c *client, key string, asJSON bool) error {
	resp, err := c.do(cmd.Context(), &request{method: http.MethodGet, path: keyPath(key)})
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	out := cmd.OutOrStdout()
	if asJSON {
		data, err := io.ReadAll(resp.Body)
		if err != nil {
			return brokenOff(c, err)
		}
		return writeJSON(out, describeItem(key, data, resp.Header))
	}
	if _, err := io.Copy(out, resp.Body); err != nil {
		return brokenOff(c, err)
	}
	if isTerminal(out) {
		_, err = fmt.Fprintln(out)
	}
	return err
}

// brokenOff is the error of an answer that came only in part.
func brokenOff(c *client, err error) error {
	return fmt.Errorf("the answer of %s broke off: %w; what was printed is not all of it", c.base, err)
}

// item is a key with what a node said about it.
type item struct {
	Key         string `json:"key"`
	Value       any    `json:"value"`
	Type        string `json:"type"`
	Version     uint64 `json:"version"`
	Bytes       int    `json:"bytes"`
	ContentType string `json:"content_type,omitempty"`
	Modified    string `json:"modified,omitempty"` // RFC 3339
	Expires     string `json:"expires,omitempty"`  // RFC 3339
	receipt
}

// receipt says which state an answer reflects; a member is empty when the node did not say.
type receipt struct {
	Partition string `json:"partition,omitempty"`
	Index     uint64 `json:"index,omitempty"`
	Node      string `json:"node,omitempty"`
}

func readReceipt(h http.Header) receipt {
	index, _ := strconv.ParseUint(h.Get("X-Pxkv-Index"), 10, 64) // 0 when it is not there
	return receipt{Partition: h.Get("X-Pxkv-Partition"), Index: index, Node: h.Get("X-Pxkv-Node")}
}

func describeItem(key string, data []byte, h http.Header) *item {
	it := &item{Key: key, Bytes: len(data), ContentType: h.Get("Content-Type"), Expires: h.Get("X-Pxkv-Expires"), receipt: readReceipt(h)}
	it.Version, _ = parseETag(h.Get("Etag"))
	if t, err := http.ParseTime(h.Get("Last-Modified")); err == nil {
		it.Modified = t.UTC().Format(time.RFC3339)
	}
	// The kind follows from bytes and content type by the rule that made it.
	value := kv.RawValue(data, it.ContentType)
	it.Type = value.Kind.String()
	switch value.Kind {
	case kv.JSON:
		it.Value = json.RawMessage(data)
	case kv.String:
		it.Value = string(data)
	default:
		it.Value = map[string][]byte{"$binary": data} // []byte becomes base64
	}
	return it
}

// parseETag reads the version out of an ETag: "17", with its quotes.
func parseETag(tag string) (uint64, bool) {
	tag = strings.TrimPrefix(tag, "W/")
	if len(tag) < 2 || tag[0] != '"' || tag[len(tag)-1] != '"' {
		return 0, false
	}
	v, err := strconv.ParseUint(tag[1:len(tag)-1], 10, 64)
	return v, err == nil
}
