package httpapi

import (
	"bytes"
	"cmp"
	"flag"
	"fmt"
	"io"
	"net/http"
	neturl "net/url"
	"os"
	"slices"
	"strings"
	"testing"

	"pxkv/node/kv"
)

const apiDoc = "../../docs/api.md"

var updateDocs = flag.Bool("update-docs", false, "write the answers in docs/api.md anew")

// TestDocumentedExamples runs every curl of docs/api.md, in order, against one service,
// and compares the answers with what the document says.
func TestDocumentedExamples(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(apiDoc)
	if err != nil {
		t.Fatal(err)
	}
	service := newFake()
	addr, _ := start(t, service, func(o *Options) { o.Encryption = newFakeEncryption() })
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DisableCompression: true}}
	var out strings.Builder
	inside, examples := false, 0
	for line := range strings.Lines(string(text)) {
		switch {
		case strings.HasPrefix(line, "```"):
			inside = line == "```console\n"
		case inside && strings.HasPrefix(line, "$ curl "):
			examples++
			out.WriteString(line)
			// Two answers need a service in trouble.
			service.notReady, service.failWrite = nil, nil
			if strings.Contains(line, "# not ready") {
				service.notReady = kv.Errorf(kv.Unavailable, "no reachable leader for partitions 3, 17")
			}
			if strings.Contains(line, "# the leader vanished") {
				service.failWrite = kv.ErrUnknown()
			}
			if answer := curl(t, client, addr, strings.TrimSuffix(line, "\n")); answer != "" {
				out.WriteString(answer + "\n")
			}
			continue
		case inside:
			continue // an old answer
		}
		out.WriteString(line)
	}
	if examples < 40 {
		t.Errorf("only %d examples", examples)
	}
	if *updateDocs {
		if err := os.WriteFile(apiDoc, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, want := strings.Split(out.String(), "\n"), strings.Split(string(text), "\n")
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			t.Fatalf("docs/api.md, line %d\n  says %s\nanswer %s\n(go test ./transport/httpapi -run Documented "+
				"-update-docs writes the answers anew)", i+1, want[i], got[i])
		}
	}
	if len(got) != len(want) {
		t.Errorf("docs/api.md has %d lines, want %d", len(want), len(got))
	}
}

// curl does what curl does with the few flags that the document uses. -i shows the
// headers sorted and without Date.
func curl(t *testing.T, client *http.Client, addr, command string) string {
	t.Helper()
	var method, url, body string
	header := http.Header{}
	include, parameters := false, neturl.Values{}
	words := shellWords(command)[2:] // $ curl
	for i := 0; i < len(words); i++ {
		next := func() string { i++; return words[i] }
		switch w := words[i]; w {
		case "-s", "--path-as-is":
		case "-i":
			include = true
		case "-I":
			include, method = true, "HEAD"
		case "-X":
			method = next()
		case "-G":
		case "--data-urlencode": // with -G, which all that have it give
			name, value, _ := strings.Cut(next(), "=")
			parameters.Set(name, value)
		case "-d", "--data-binary":
			body = next()
			method = cmp.Or(method, "POST")
			if header.Get("Content-Type") == "" {
				header.Set("Content-Type", "application/x-www-form-urlencoded")
			}
		case "-H":
			k, v, _ := strings.Cut(next(), ":")
			header.Set(k, strings.TrimSpace(v))
		default:
			url = w
		}
	}
	if len(parameters) > 0 {
		url += "?" + parameters.Encode()
	}
	const documented = "http://localhost:8080"
	if !strings.HasPrefix(url, documented) {
		t.Fatalf("%s: the address should be %s", command, documented)
	}
	req, err := http.NewRequest(cmp.Or(method, "GET"), "http://"+addr+strings.TrimPrefix(url, documented),
		strings.NewReader(body))
	if err != nil {
		t.Fatalf("%s: %v", command, err)
	}
	req.Header = header
	res, err := client.Do(req)
	if err != nil {
		t.Fatalf("%s: %v", command, err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatalf("%s: %v", command, err)
	}
	if !include {
		return string(answer)
	}
	var out bytes.Buffer
	fmt.Fprintf(&out, "%s %s\n", res.Proto, res.Status)
	names := make([]string, 0, len(res.Header))
	for name := range res.Header {
		if name != "Date" && name != "Connection" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		fmt.Fprintf(&out, "%s: %s\n", name, res.Header.Get(name))
	}
	if len(answer) > 0 {
		fmt.Fprintf(&out, "\n%s\n", answer)
	}
	return strings.TrimSuffix(out.String(), "\n")
}

// shellWords splits a command as a shell does: blanks separate, quotes keep together, #
// begins a comment.
func shellWords(s string) []string {
	var words []string
	var word strings.Builder
	inWord, quote := false, rune(0)
	for _, c := range s {
		switch {
		case quote != 0 && c == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(c)
		case c == '\'' || c == '"':
			quote, inWord = c, true
		case c == ' ':
			if inWord {
				words = append(words, word.String())
				word.Reset()
				inWord = false
			}
		case c == '#' && !inWord:
			return words
		default:
			word.WriteRune(c)
			inWord = true
		}
	}
	if inWord {
		words = append(words, word.String())
	}
	return words
}
