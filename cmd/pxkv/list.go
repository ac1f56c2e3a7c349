package main

import (
	"bufio"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"
)

// listFlags choose what list shows.
type listFlags struct {
	prefix   string
	limit    int
	keysOnly bool
}

func newListCommand() *cobra.Command {
	var flags clientFlags
	var output outputFlag
	var list listFlags
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the keys of the whole cluster, in byte order",
		Long: `List the pairs of the whole cluster, in byte order of their keys: one a line, the key,
a tab, and the value as JSON text. A key that would break its line, or is no text, is quoted.
With --output json: one JSON object, or one array with --keys-only.

The list is printed as it arrives, so it may be as long as it likes. It is not one
snapshot: a key that is written meanwhile is shown with its old or its new value.`,
		Example: "  pxkv list --prefix user: --limit 10\n  pxkv list --keys-only | wc -l\n  pxkv list --output json " +
			"> all.json",
		Args: takes(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := output.check(cmd); err != nil {
				return err
			}
			if list.limit < 0 {
				return usageError(cmd, "--limit cannot be negative, as in %d", list.limit)
			}
			c, err := flags.client(cmd)
			if err != nil {
				return err
			}
			return runList(cmd, c, &list, output.json())
		},
	}
	flags.add(cmd)
	output.add(cmd)
	cmd.Flags().StringVar(&list.prefix, "prefix", "", "only keys that begin so")
	cmd.Flags().IntVar(&list.limit, "limit", 0, "at most so many; 0 is no limit")
	cmd.Flags().BoolVar(&list.keysOnly, "keys-only", false, "no values")
	return cmd
}

// maxPage is the largest limit that nodes accept; longer lists take several calls.
const maxPage = 1_000_000

// query asks for at most remaining pairs (0 is no limit) from cursor on (empty: from the
// beginning).
func (l *listFlags) query(remaining int, cursor string) url.Values {
	q := make(url.Values)
	if l.prefix != "" {
		q.Set("prefix", l.prefix)
	}
	if remaining > 0 {
		q.Set("limit", strconv.Itoa(min(remaining, maxPage)))
	}
	if l.keysOnly {
		q.Set("keys_only", "true")
	}
	if cursor != "" {
		q.Set("cursor", cursor)
	}
	return q
}

func runList(cmd *cobra.Command, c *client, list *listFlags, asJSON bool) error {
	out := bufio.NewWriter(output{cmd.OutOrStdout()})
	var write pairWriter = &lineWriter{out: out, keysOnly: list.keysOnly}
	if asJSON {
		write = &jsonWriter{out: out, keysOnly: list.keysOnly}
	}
	// A node ends a page early when it has grown large, so the limit may take several.
	cursor, remaining := "", list.limit
	for {
		resp, err := c.do(cmd.Context(), &request{
			method: http.MethodGet, path: "/kv", query: list.query(remaining, cursor),
		})
		if err != nil {
			out.Flush()
			return err
		}
		n, err := decodeList(resp.Body, write.pair)
		resp.Body.Close()
		if err != nil {
			out.Flush() // what has come is shown; the error says that it is not all
			return brokenOff(c, "list", err)
		}
		if cursor = resp.Header.Get("X-Pxkv-Cursor"); cursor == "" || list.limit > 0 && n >= remaining {
			break
		}
		if list.limit > 0 {
			remaining -= n
		}
	}
	write.end()
	return out.Flush()
}

// pairWriter prints a list.
type pairWriter interface {
	// pair prints one: key and value are JSON texts, a nil value is a key alone.
	pair(key, value json.RawMessage) error
	end()
}

// lineWriter prints a pair a line.
type lineWriter struct {
	out      *bufio.Writer
	keysOnly bool
}

func (w *lineWriter) pair(text, value json.RawMessage) error {
	key, err := parseKeyText(text)
	if err != nil {
		return err
	}
	if strings.ContainsFunc(key, unicode.IsControl) || !utf8.ValidString(key) {
		key = strconv.Quote(key)
	}
	w.out.WriteString(key)
	if !w.keysOnly && value != nil {
		w.out.WriteByte('\t')
		w.out.Write(value)
	}
	return w.out.WriteByte('\n') // a bufio.Writer keeps its first error
}

func (w *lineWriter) end() {}

// jsonWriter prints one object of pairs, or one array of keys, an element a line.
type jsonWriter struct {
	out      *bufio.Writer
	keysOnly bool
	begun    bool
}

func (w *jsonWriter) pair(key, value json.RawMessage) error {
	separator := ",\n  "
	if !w.begun {
		w.begun = true
		separator = w.brackets()[:1] + "\n  "
	}
	w.out.WriteString(separator)
	w.out.Write(key) // as the node wrote it, so that no byte of a key is lost
	if !w.keysOnly {
		w.out.WriteString(": ")
		w.out.Write(value)
	}
	return nil
}

func (w *jsonWriter) end() {
	brackets := w.brackets()
	if !w.begun {
		w.out.WriteString(brackets + "\n")
		return
	}
	w.out.WriteString("\n" + brackets[1:] + "\n")
}

func (w *jsonWriter) brackets() string {
	if w.keysOnly {
		return "[]"
	}
	return "{}"
}
