package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"pxkv/node/kv"
)

func newGetCommand() *cobra.Command {
	var stale bool
	cmd := newKeyCommand(&cobra.Command{
		Use:   "get KEY",
		Short: "Print the value of a key",
		Long: `Print the value of a key, byte for byte. A newline follows only on a terminal.
With --output json: key, value, type, version, deadline and where the answer came from.
With --stale the nearest replica answers, whose state may be old; --output json tells by
how much at most.
Exit code 3 when there is no such key.`,
		Example: "  pxkv get greeting\n  pxkv get photo > photo.jpg\n  pxkv get greeting --output json",
		Args:    takes("KEY"),
	}, func(k *keyCall) error { return k.get(stale) })
	cmd.Flags().BoolVar(&stale, "stale", false, "ask the nearest replica, also one that has lost its leader")
	return cmd
}

func (k *keyCall) get(stale bool) error {
	r := &request{method: http.MethodGet, path: keyPath(k.key)}
	if stale {
		r.query = url.Values{"consistency": {"stale"}}
	}
	resp, err := k.do(k.cmd.Context(), r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	out := k.cmd.OutOrStdout()
	if k.asJSON {
		data, err := io.ReadAll(resp.Body)
		if err != nil {
			return brokenOff(k.client, "answer", err)
		}
		return writeJSON(out, describeItem(k.key, data, resp.Header))
	}
	if _, err := io.Copy(output{out}, resp.Body); err != nil {
		return brokenOff(k.client, "answer", err)
	}
	if isTerminal(out) {
		_, err = fmt.Fprintln(out)
	}
	return err
}

// item is a key with what a node said about it.
type item struct {
	Key         keyText `json:"key"`
	Value       any     `json:"value"`
	Type        string  `json:"type"`
	Version     uint64  `json:"version"`
	Bytes       int     `json:"bytes"`
	ContentType string  `json:"content_type,omitempty"`
	Modified    string  `json:"modified,omitempty"` // RFC 3339
	Expires     string  `json:"expires,omitempty"`  // RFC 3339
	// StalenessMS is how old the state of a --stale read may be.
	StalenessMS *int64 `json:"staleness_ms,omitempty"`
	receipt
}

// receipt says which state an answer reflects; a member is empty when the node did not say.
type receipt struct {
	Partition *uint32 `json:"partition,omitempty"`
	Index     uint64  `json:"index,omitempty"`
	Node      string  `json:"node,omitempty"`
}

func readReceipt(h http.Header) receipt {
	index, _ := strconv.ParseUint(h.Get("X-Pxkv-Index"), 10, 64) // 0 when it is not there
	r := receipt{Index: index, Node: h.Get("X-Pxkv-Node")}
	if p, err := strconv.ParseUint(h.Get(headerPartition), 10, 32); err == nil {
		r.Partition = new(uint32(p))
	}
	return r
}

func describeItem(key string, data []byte, h http.Header) *item {
	it := &item{Key: keyText(key), Bytes: len(data), ContentType: h.Get("Content-Type"),
		Expires: h.Get("X-Pxkv-Expires"), receipt: readReceipt(h)}
	it.Version = parseETag(h.Get("Etag"))
	if ms, err := strconv.ParseInt(h.Get("X-Pxkv-Staleness-Ms"), 10, 64); err == nil {
		it.StalenessMS = new(ms)
	}
	if t, err := http.ParseTime(h.Get("Last-Modified")); err == nil {
		it.Modified = t.UTC().Format(time.RFC3339)
	}
	// The kind follows from bytes and content type by the rule that made it: JSON must be UTF-8.
	value := kv.RawValue(data, it.ContentType)
	if !utf8.Valid(data) {
		value.Kind = kv.Binary
	}
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

// parseETag reads the version out of an ETag: "17", with its quotes. 0: there is none.
func parseETag(tag string) uint64 {
	tag = strings.TrimPrefix(tag, "W/")
	if len(tag) < 2 || tag[0] != '"' || tag[len(tag)-1] != '"' {
		return 0
	}
	v, err := strconv.ParseUint(tag[1:len(tag)-1], 10, 64)
	if err != nil {
		return 0
	}
	return v
}
