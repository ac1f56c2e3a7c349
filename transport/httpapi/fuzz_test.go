package httpapi

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"
)

// send gives a request to a handler and checks what must hold for every request: no
// panic, a status below 500, and JSON in every error.
func send(t testing.TB, h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	body := w.Body.Bytes()
	switch {
	case w.Code < 200 || w.Code >= 500:
		t.Fatalf("%s %q: status %d %s", r.Method, r.RequestURI, w.Code, body)
	case w.Code >= 400:
		var e struct{ Error string }
		if err := json.Unmarshal(body, &e); err != nil || e.Error == "" || !utf8.Valid(body) {
			t.Fatalf("%s %q: error %d is not JSON: %q", r.Method, r.RequestURI, w.Code, body)
		}
	case w.Header().Get("Content-Type") == "application/json" && len(body) > 0 &&
		!strings.HasPrefix(r.URL.Path, "/kv/"):
		if !json.Valid(body) || !utf8.Valid(body) {
			t.Fatalf("%s %q: answer is not JSON: %q", r.Method, r.RequestURI, body)
		}
	}
	return w
}

func newRequest(method, target string, body []byte) *http.Request {
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(method + " " + target +
		" HTTP/1.1\r\nHost: x\r\n\r\n")))
	if err != nil {
		return nil
	}
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return r
}

func fuzzHandler(f testing.TB) http.Handler {
	return fuzzHandlers(f)(0)
}

// fuzzHandlers makes handlers of several limits, and returns how one is chosen: 0 is that of the defaults
// with a value limit of 1,000 bytes, all others are tiny. None of them may hold anything between two requests.
func fuzzHandlers(f testing.TB) func(limits uint8) http.Handler {
	var handlers []http.Handler
	for i := range uint64(6) {
		s := newTestServer(f, newFake(), func(o *Options) {
			if o.MaxValueBytes = 1000; i > 0 {
				tinyOptions(rand.New(rand.NewPCG(i, 2)))(o)
			}
		})
		do(f, s.Handler(), "PUT /kv", `{"key":"a","value":"b"}`)
		handlers = append(handlers, holdsNothing(f, s))
	}
	return func(limits uint8) http.Handler { return handlers[int(limits)%len(handlers)] }
}

// holdsNothing is the handler of a server that must have given back what it counted when it has answered.
func holdsNothing(f testing.TB, s *Server) http.Handler {
	h := s.Handler()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.ServeHTTP(w, r)
		if held := s.opt.Budget.Held(); held != 0 {
			panic(fmt.Sprintf("%s %q was answered, and %d bytes are held", r.Method, r.RequestURI, held))
		}
	})
}

func FuzzPutBody(f *testing.F) {
	for i, text := range bodies {
		f.Add([]byte(text), uint8(0))
		f.Add([]byte(text), uint8(1+i%5))
	}
	handlers := fuzzHandlers(f)
	f.Fuzz(func(t *testing.T, body []byte, limits uint8) {
		h := handlers(limits)
		w := send(t, h, newRequest("PUT", "/kv", body))
		if w.Code != 200 {
			return
		}
		// What was put must be what is read, under the key as it was echoed.
		var echo map[string]json.RawMessage
		if err := json.Unmarshal(w.Body.Bytes(), &echo); err != nil || len(echo) != 1 {
			t.Fatalf("%q: echo %q", body, w.Body)
		}
		for key := range echo {
			if strings.ContainsRune(key, utf8.RuneError) {
				continue // encoding/json cannot show a key that is not UTF-8
			}
			got := send(t, h, newRequest("GET", "/kv?key="+url.QueryEscape(key), nil))
			if got.Code != 200 || got.Body.String() != w.Body.String() {
				t.Fatalf("put %q, echo %q, got %d %q", body, w.Body, got.Code, got.Body)
			}
		}
		send(t, h, newRequest("DELETE", "/kv", body))
	})
}

func FuzzQuery(f *testing.F) {
	for i, q := range queries {
		f.Add(q, uint8(0))
		f.Add(q, uint8(1+i%5))
	}
	handlers := fuzzHandlers(f)
	f.Fuzz(func(t *testing.T, q string, limits uint8) {
		h := handlers(limits)
		for _, target := range []string{
			"GET /kv?", "GET /kv/a?", "PUT /kv/b?", "DELETE /kv/b?", "GET /cluster/owner?",
		} {
			method, path, _ := strings.Cut(target, " ")
			if r := newRequest(method, path+q, nil); r != nil {
				send(t, h, r)
			}
		}
		if parsed, err := url.ParseQuery(q); err == nil && len(parsed) == 1 && len(parsed["key"]) == 1 {
			if mine, err := parseQuery(q, paramKey); err != nil || string(mine.key) != parsed.Get("key") {
				t.Fatalf("%q: key %q, net/url says %q (%v)", q, mine.key, parsed.Get("key"), err)
			}
		}
	})
}

func FuzzRawPath(f *testing.F) {
	for i, p := range paths {
		f.Add(p, []byte("value"), uint8(0))
		f.Add(p, []byte("value"), uint8(1+i%5))
	}
	handlers := fuzzHandlers(f)
	f.Fuzz(func(t *testing.T, path string, value []byte, limits uint8) {
		h := handlers(limits)
		r := newRequest("PUT", "/kv/"+path, value)
		if r == nil {
			return
		}
		put := send(t, h, r)
		if put.Code >= 300 {
			return
		}
		got := send(t, h, newRequest("GET", "/kv/"+path, nil))
		if got.Code != 200 || !bytes.Equal(got.Body.Bytes(), value) {
			t.Fatalf("%q: put %q, got %d %q", path, value, got.Code, got.Body)
		}
		send(t, h, newRequest("GET", "/kv", nil))
		send(t, h, newRequest("DELETE", "/kv/"+path, nil))
	})
}

func FuzzConditions(f *testing.F) {
	for i, c := range conditions {
		f.Add(c, "", uint8(0))
		f.Add("", c, uint8(1+i%5))
		f.Add(c, c, uint8(0))
	}
	handlers := fuzzHandlers(f)
	f.Fuzz(func(t *testing.T, match, none string, limits uint8) {
		h := handlers(limits)
		for _, target := range []string{"GET /kv/a", "GET /kv?key=a", "PUT /kv/a", "DELETE /kv/b"} {
			method, path, _ := strings.Cut(target, " ")
			r := newRequest(method, path, nil)
			if match != "" {
				r.Header["If-Match"] = []string{match}
			}
			if none != "" {
				r.Header["If-None-Match"] = []string{none}
			}
			send(t, h, r)
		}
	})
}

var (
	bodies = []string{
		``, `null`, `"a"`, `"\ud83d"`, "\"\xff\"", `0`, `1e+5`, `01`, `[]`, `[1,]`, `[1 2]`, `[1,[2,[3]]]`, `[`, `{}`,
		`{ }`, `{"a"}`, `{"a":1,}`, `{"a":1}}`, `{"a":[}`,
		`{"a":{"b":[{"c":null}]}}`, ` { "a" : [ 1 , { } , [ ] ] } `, "\ufeff{}", `{"a":1}x`,
		`{"key":"a","value":1}`, `{"key":"a","value":{"$binary":"aGk="}}`,
		`{"key":"a","value":{"$binary":"aGk="},"ttl":1}`, `{"key":"\udcff","value":null}`,
		`{"key":"a","value":{"$binary" : "\u0061Gk="} }`, `{"\u0076alue":[1, 2],"key":"\ud83d\ude00"}`,
		`{"key":["x"],"value":{"a": {"b": "c d"}}}`,
	}
	queries = []string{
		"", "key=a", "key=", "key", "key=a&key=b", "a=b", "a=b&c=d", "=", "=x", "&&&", "key=%61", "key=a%2", "key=%zz",
		"key=a+b", "k%65y=a",
		"limit=1", "limit=0", "limit=x", "cursor=AWE", "cursor=AQ", "cursor=!", "prefix=a&limit=2&keys_only",
		"keys_only=x", "consistency=stale&key=a",
		"consistency=x", "min_index=5&key=a", "min_index=18446744073709551616", "timeout=5", "timeout=1h",
		"timeout=1e300", "timeout=-1", "ttl=1", "ttl=1.5", "ttl=24h", "ttl=0", "ttl=-1s", "ttl=1e300", "ttl=nan",
		"incr=1", "incr=-9223372036854775809", "glob=*", "where=a",
		"where=value.x+%3E+1&meta", "regex=(", "type=json&values_only&format=ndjson", "from=a&to=b", "key=a&key=b&key=",
	}
	paths = []string{
		"a", "", "/", "//", "..", "../..", "a/b", "a%2Fb", "%00", "%FF%FE", "%E2%82%AC", "a+b", "a%2Bb", "a%20b", "a?b",
		"a#b", "%", "%2", "%zz", "a;b", "é", "a/./b/", "%25", "*",
	}
	conditions = []string{
		`*`, `"1"`, `W/"1"`, `"1","2"`, `"1", W/"2" ,"3"`, `"`, `""`, `1`, `W/`, `W/1`, `"1" "2"`, `"1",`, `,`, `,"1"`,
		` `, `"a b"`, `"01"`, `"-1"`, `"18446744073709551616"`, `*,"1"`, "\"\xff\"",
	}
)

// TestMalformedRequests sends 20,000 requests that are wrong in every way that mutating
// good ones comes to, the same ones in every run.
func TestMalformedRequests(t *testing.T) {
	t.Parallel()
	const n, seed = 20_000, 1
	rng := rand.New(rand.NewPCG(seed, seed))
	h := fuzzHandler(t)
	pick := func(from []string) string { return from[rng.IntN(len(from))] }
	statuses := map[int]int{}
	for range n {
		method := pick([]string{"GET", "GET", "HEAD", "PUT", "PUT", "PUT", "DELETE", "POST", "PATCH", "BREW"})
		path := pick([]string{"/kv", "/kv", "/kv/", "/kv/", "/cluster/owner", "/cluster", "/batch", "/nope", "/kv%2F"})
		if strings.HasSuffix(path, "/") && rng.IntN(2) == 0 {
			path += pick(paths)
		}
		if rng.IntN(2) == 0 {
			path += "?" + mutate(rng, pick(queries))
		}
		body := mutate(rng, pick(bodies))
		if rng.IntN(5) == 0 {
			path = mutate(rng, path)
		}
		raw := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n", method, path, len(body))
		for _, name := range []string{
			"If-Match", "If-None-Match", "Content-Type", "Idempotency-Key", "Content-Encoding",
		} {
			if rng.IntN(6) == 0 {
				raw += name + ": " + mutate(rng, pick(conditions)) + "\r\n"
			}
		}
		raw += "\r\n" + body
		if rng.IntN(10) == 0 {
			raw = raw[:rng.IntN(len(raw))] // the client went away
		}
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(raw)))
		if err != nil {
			statuses[0]++ // net/http answers this one, see TestAnswersToWhatIsNotHTTP
			continue
		}
		statuses[send(t, h, r).Code]++
	}
	t.Logf("answers by status, 0 is not HTTP: %v", statuses)
	if statuses[400] < n/10 || statuses[404] == 0 || statuses[405] == 0 || statuses[412] == 0 {
		t.Errorf("the requests do not cover the errors: %v", statuses)
	}
}

// mutate returns s, or s with one to three bytes changed, added, removed or repeated.
func mutate(rng *rand.Rand, s string) string {
	if rng.IntN(3) == 0 {
		return s
	}
	b := []byte(s)
	odd := []byte("\x00\xff\x80{}[]\",:\\%&=/?+*; \tu0aZ")
	for range 1 + rng.IntN(3) {
		at := rng.IntN(len(b) + 1)
		switch rng.IntN(4) {
		case 0:
			b = append(b[:at], append([]byte{odd[rng.IntN(len(odd))]}, b[at:]...)...)
		case 1:
			if at < len(b) {
				b[at] = odd[rng.IntN(len(odd))]
			}
		case 2:
			if at < len(b) {
				b = append(b[:at], b[at+1:]...)
			}
		default:
			b = append(b, b[at:]...)
		}
	}
	return string(b)
}
