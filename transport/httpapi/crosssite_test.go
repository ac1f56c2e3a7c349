package httpapi

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// Whatever changes something is refused when a page of another site has made a browser send it, and done for everybody
// who is no browser.
func TestNoPageOfAnotherSiteChangesAnything(t *testing.T) {
	t.Parallel()
	h := newTestServer(t, newFake(), func(o *Options) { o.Debug = true }).Handler()
	tried := 0
	for path, r := range allRoutes(true) {
		for _, m := range r.methods {
			if m.name == http.MethodGet || m.name == http.MethodHead {
				continue // they change nothing: a page may show what it cannot read
			}
			tried++
			request := m.name + " " + strings.NewReplacer("{key}", "k", "{name}", "n4").Replace(path)
			for header, refused := range map[string]bool{
				"":                             false,
				"Sec-Fetch-Site: same-origin":  false,
				"Sec-Fetch-Site: none":         false, // who types an address, or uses a bookmark
				"Origin: http://x":             false, // the Host of the request: an old browser
				"Sec-Fetch-Site: cross-site":   true,
				"Sec-Fetch-Site: same-site":    true, // another port of this host, too
				"Origin: http://evil.example":  true,
				"Origin: null":                 true,
				"Content-Type: text/plain":     false, // curl
				"User-Agent: python-requests/": false,
			} {
				if !refused && strings.HasPrefix(path, debugPrefix) {
					continue // a profile takes long
				}
				var headers []string
				if header != "" {
					headers = append(headers, header)
				}
				w := do(t, h, request, "", headers...)
				is := w.Code == http.StatusForbidden && strings.Contains(w.Body.String(), `"cross_site"`)
				if is != refused {
					t.Errorf("%s with %q: %d %s; refused: want %v", request, header, w.Code, w.Body, refused)
				}
			}
		}
	}
	if tried < 10 {
		t.Errorf("%d requests that change something were tried: there are more", tried)
	}
}

// What an old browser, or one that speaks plain http with another machine, says is compared as addresses are, also
// behind a proxy.
func TestAnOriginIsComparedWithTheHost(t *testing.T) {
	t.Parallel()
	h := handler(t)
	for _, tc := range []struct {
		host, origin string
		refused      bool
	}{
		{"kv:8080", "http://kv:8080", false},
		{"KV:8080", "http://kv:8080", false},
		{"kv", "http://kv", false},
		{"kv:80", "http://kv", false}, // as nginx says with $host:$server_port
		{"kv", "http://kv:80", false},
		{"kv:443", "https://kv", false},
		{"[::1]:8080", "http://[::1]:8080", false},
		{"[::1]:80", "http://[::1]", false},
		{"[::80]", "http://[::80]", false},
		{"kv:443", "http://kv", true},
		{"kv:8080", "http://kv", true},
		{"kv:8080", "http://kv:8081", true},
		{"kv", "http://evil.kv", true},
		{"[::80]", "http://[::]", true},
		{"[::1]:8080", "http://[::2]:8080", true},
		{"kv", "kv", true},
		{"", "null", true},
		{"", "file://", true},
		{"", "http://kv", true},
		{"", "", false}, // no browser: HTTP/1.0
	} {
		for _, method := range []string{http.MethodPut, http.MethodGet, http.MethodHead} {
			r := httptest.NewRequest(method, "/kv/a", http.NoBody)
			r.Host = tc.host
			r.Header.Set("Origin", tc.origin)
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			want := tc.refused && method == http.MethodPut
			if refused := w.Code == http.StatusForbidden; refused != want {
				t.Errorf("%s of %q at %q: %d %s; refused: want %v", method, tc.origin, tc.host, w.Code, w.Body, want)
			}
		}
	}
}

// A refused request has done nothing.
func TestACrossSiteRequestDoesNothing(t *testing.T) {
	t.Parallel()
	h := handler(t)
	run(t, h, []step{
		{request: "PUT /kv", body: `{"key":"a","value":1}`, status: 200, want: `{"a":1}`},
		{request: "POST /kv/a?incr=1", header: "Sec-Fetch-Site: cross-site", status: 403, want: "~cross_site"},
		{request: "POST /batch", body: `{"ops":[{"op":"delete","key":"a"}]}`, header: "Origin: http://evil.example",
			status: 403, want: "~cross_site"},
		{request: "GET /kv?key=a", header: "Sec-Fetch-Site: cross-site", status: 200, want: `{"a":1}`},
	})
}
