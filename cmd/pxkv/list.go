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
	narrow     narrowFlags
	limit      int
	keysOnly   bool
	valuesOnly bool
	meta       bool
}

// narrowing are the flags that choose keys, and what they do. Each is a parameter of GET /kv.
var narrowing = [][2]string{
	{"prefix", "only keys that begin so"},
	{"from", "only this key and those above it"},
	{"to", "only keys below this one"},
	{"glob", "only keys that match the whole pattern: *, ?, [a-z]"},
	{"regex", "only keys in which this RE2 expression is found"},
	{"type", "only values of this type: string, json, number, bool, object, array or binary"},
	{"where", "only items of which this expression is true, such as 'value.age > 30'"},
}

// narrowFlags are the values of these flags, by name.
type narrowFlags map[string]*string

func (n *narrowFlags) add(cmd *cobra.Command) {
	*n = narrowFlags{}
	for _, f := range narrowing {
		(*n)[f[0]] = cmd.Flags().String(f[0], "", f[1])
	}
}

// check reports a flag that is given and says nothing.
func (n narrowFlags) check(cmd *cobra.Command) error {
	for name, value := range n {
		if *value == "" && cmd.Flags().Changed(name) {
			return usageError(cmd, "--%s is empty; without it there is no such condition", name)
		}
	}
	return nil
}

func (n narrowFlags) query() url.Values {
	q := make(url.Values)
	for name, value := range n {
		if *value != "" {
			q.Set(name, *value)
		}
	}
	return q
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
With --output json: one JSON object, or one array with --keys-only or --values-only.

Filters run where the keys are. Expressions of --where are over key, value, version, ttl
(seconds left), type and size; what an item does not have does not match. See docs/api.md.

The list is printed as it arrives, so it may be as long as it likes. It is not one
snapshot: a key that is written meanwhile is shown with its old or its new value.`,
		Example: "  pxkv list --prefix user: --limit 10\n  pxkv list --keys-only | wc -l\n" +
			"  pxkv list --where 'value.age > 30 and key startsWith \"user:\"'\n  pxkv list --output json > all.json",
		Args: takes(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := output.check(cmd); err != nil {
				return err
			}
			if list.limit < 0 {
				return usageError(cmd, "--limit cannot be negative, as in %d", list.limit)
			}
			if list.keysOnly && (list.valuesOnly || list.meta) {
				return usageError(cmd, "--keys-only does not go with --values-only or --meta")
			}
			if err := list.narrow.check(cmd); err != nil {
				return err
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
	list.narrow.add(cmd)
	cmd.Flags().IntVar(&list.limit, "limit", 0, "at most so many; 0 is no limit")
	cmd.Flags().BoolVar(&list.keysOnly, "keys-only", false, "no values")
	cmd.Flags().BoolVar(&list.valuesOnly, "values-only", false, "no keys")
	cmd.Flags().BoolVar(&list.meta, "meta", false, "each value with its type, version, last change and deadline")
	return cmd
}

// maxPage is the largest limit that nodes accept; longer lists take several calls.
const maxPage = 1_000_000

// query asks for at most remaining pairs (0 is no limit) from cursor on (empty: from the
// beginning).
func (l *listFlags) query(remaining int, cursor string) url.Values {
	q := l.narrow.query()
	if remaining > 0 {
		q.Set("limit", strconv.Itoa(min(remaining, maxPage)))
	}
	if l.keysOnly {
		q.Set("keys_only", "true")
	}
	if l.meta {
		q.Set("meta", "true")
	}
	if cursor != "" {
		q.Set("cursor", cursor)
	}
	return q
}

func runList(cmd *cobra.Command, c *client, list *listFlags, asJSON bool) error {
	out := bufio.NewWriter(output{cmd.OutOrStdout()})
	var write pairWriter = &lineWriter{out: out, keysOnly: list.keysOnly, valuesOnly: list.valuesOnly}
	if asJSON {
		write = &jsonWriter{out: out, keysOnly: list.keysOnly, valuesOnly: list.valuesOnly}
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
	out                  *bufio.Writer
	keysOnly, valuesOnly bool
}

func (w *lineWriter) pair(text, value json.RawMessage) error {
	if w.valuesOnly {
		w.out.Write(value)
		return w.out.WriteByte('\n')
	}
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

// jsonWriter prints one object of pairs, or one array of keys or values, an element a line.
type jsonWriter struct {
	out                  *bufio.Writer
	keysOnly, valuesOnly bool
	begun                bool
}

func (w *jsonWriter) pair(key, value json.RawMessage) error {
	separator := ",\n  "
	if !w.begun {
		w.begun = true
		separator = w.brackets()[:1] + "\n  "
	}
	w.out.WriteString(separator)
	if !w.valuesOnly {
		w.out.Write(key) // as the node wrote it, so that no byte of a key is lost
	}
	if !w.keysOnly && !w.valuesOnly {
		w.out.WriteString(": ")
	}
	if !w.keysOnly {
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
	if w.keysOnly || w.valuesOnly {
		return "[]"
	}
	return "{}"
}
