package main

import (
	"cmp"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
)

const originalDoc = "../../docs/from-the-original.md"

// What docs/from-the-original.md shows is what a real node and the real commands do, in this order.
func TestDocumentedMoveFromTheOriginal(t *testing.T) {
	doc, err := os.ReadFile(originalDoc)
	if err != nil {
		t.Fatal(err)
	}
	node, _, _ := realNode(t, nil)
	defer http.DefaultClient.CloseIdleConnections()
	t.Chdir(t.TempDir())
	examples := 0
	for block := range strings.SplitSeq(string(doc), "```console\n$ ") {
		if strings.HasPrefix(block, "# From") {
			continue
		}
		block, _, _ = strings.Cut(block, "```")
		for example := range strings.SplitSeq(block, "\n$ ") {
			line, want, _ := strings.Cut(example, "\n")
			want = strings.TrimSuffix(want, "\n")
			if got := strings.TrimSuffix(carriedOut(t, node, line, want), "\n"); got != want {
				t.Errorf("$ %s\nanswers  %s\nand not  %s", line, got, want)
			}
			examples++
		}
	}
	if examples < 30 {
		t.Errorf("only %d examples", examples)
	}
}

// carriedOut does what a line of a shell does: pxkv, curl, or cat. A file that cat shows and that is not there is
// one that the reader has.
func carriedOut(t *testing.T, node, line, shown string) string {
	t.Helper()
	words := words(line)
	switch words[0] {
	case "pxkv":
		got := command(t, node, nil, words[1:]...)
		return got.out + got.errors
	case "cat":
		text, err := os.ReadFile(words[1])
		if os.IsNotExist(err) {
			text, err = []byte(shown), os.WriteFile(words[1], []byte(shown), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	case "curl":
		return curl(t, node, words[1:])
	}
	t.Fatalf("no example is run of %s", line)
	return ""
}

// curl does what curl does with the few flags that the document uses.
func curl(t *testing.T, node string, words []string) string {
	t.Helper()
	var method, target, body string
	parameters := url.Values{}
	for i := 0; i < len(words); i++ {
		next := func() string { i++; return words[i] }
		switch words[i] {
		case "-X":
			method = next()
		case "-d":
			body = next()
			method = cmp.Or(method, "POST")
		case "-G":
		case "--data-urlencode":
			name, value, _ := strings.Cut(next(), "=")
			parameters.Set(name, value)
		default:
			target = words[i]
		}
	}
	target, ok := strings.CutPrefix(target, "http://localhost:8080")
	if !ok {
		t.Fatalf("%q: the address should be that of a node", words)
	}
	if len(parameters) > 0 {
		target += "?" + parameters.Encode()
	}
	r, err := http.NewRequest(cmp.Or(method, "GET"), node+target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(answer)
}

// words splits a line as a shell does: blanks separate, quotes keep together.
func words(line string) (words []string) {
	var word strings.Builder
	quote, inside := rune(0), false
	for _, c := range line + " " {
		switch {
		case c == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(c)
		case c == '\'' || c == '"':
			quote, inside = c, true
		case c == ' ':
			if inside {
				words = append(words, word.String())
				word.Reset()
			}
			inside = false
		default:
			word.WriteRune(c)
			inside = true
		}
	}
	return words
}
