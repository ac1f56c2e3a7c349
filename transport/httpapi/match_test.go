package httpapi

import (
	"context"
	"net/http"
	"testing"

	"pxkv/node/kv"
)

// onlyBatches is a service in which linearizable reads of single keys are a mistake.
type onlyBatches struct {
	*fakeService
	t *testing.T
}

func (s onlyBatches) Read(ctx context.Context, key []byte, opt kv.ReadOptions) (kv.ReadResult, error) {
	if opt.Consistency == kv.Linearizable {
		s.t.Errorf("%q is read by itself", key)
	}
	return s.fakeService.Read(ctx, key, opt)
}

// Several pairs are matched at once, so that those of one partition are of one moment.
func TestMatchesAreReadTogether(t *testing.T) {
	t.Parallel()
	service := onlyBatches{newFake(), t}
	s := newTestServer(t, service, nil)
	for _, key := range []string{"{u}a", "{u}b"} {
		_, err := service.Write(t.Context(), &kv.Command{
			Op: kv.OpPut, Key: []byte(key), Value: kv.Value{Kind: kv.String, Data: []byte("1")},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for query, want := range map[string]int{
		"%7Bu%7Da=1&%7Bu%7Db=1":                   http.StatusOK,
		"%7Bu%7Da=1&%7Bu%7Db=2":                   http.StatusNotFound,
		"%7Bu%7Da=1&%7Bu%7Dc=1":                   http.StatusNotFound,
		"%7Bu%7Da=1&%7Bu%7Db=1&consistency=stale": http.StatusOK,
	} {
		w := do(t, s.Handler(), "GET /kv?"+query, "")
		if w.Code != want || want == http.StatusOK && w.Body.String() != `{"{u}a":"1","{u}b":"1"}` {
			t.Errorf("%s: %d %s, want %d", query, w.Code, w.Body, want)
		}
	}
}
