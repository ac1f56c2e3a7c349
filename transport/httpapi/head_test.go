package httpapi

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pxkv/node/kv"
)

// HEAD says what GET would, and no value is fetched for it.
func TestHeadAsksForNoValue(t *testing.T) {
	t.Parallel()
	f := newFake()
	asked := map[kv.PartKind]int{}
	f.onRead = func(_ context.Context, opt kv.ReadOptions) { asked[opt.Part.Kind]++ }
	h := newTestServer(t, f, nil).Handler()
	bodies := []string{"", "short", strings.Repeat("long", 100_000)}
	for _, body := range bodies {
		do(t, h, "PUT /kv/k", body, "Content-Type: text/x-own")
		for _, query := range []string{"", "?consistency=stale"} {
			get, head := do(t, h, "GET /kv/k"+query, ""), do(t, h, "HEAD /kv/k"+query, "")
			if head.Code != http.StatusOK || head.Body.Len() > 0 || get.Body.String() != body {
				t.Errorf("%d bytes: HEAD is %d with %d bytes, GET has %d", len(body), head.Code, head.Body.Len(),
					get.Body.Len())
			}
			length := head.Header().Get("Content-Length")
			head.Header().Del("Content-Length")
			get.Header().Del("Content-Length")
			if want := len(body); length != strconv.Itoa(want) ||
				!maps.EqualFunc(get.Header(), head.Header(), slices.Equal) {
				t.Errorf("%d bytes: HEAD says %s and %v, GET %v", want, length, head.Header(), get.Header())
			}
		}
	}
	if n := 2 * len(bodies); asked[kv.NoValue] != n || asked[kv.WholeValue] != n {
		t.Errorf("asked for %v, want %d of each", asked, n)
	}
}
