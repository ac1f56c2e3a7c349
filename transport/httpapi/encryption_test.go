package httpapi

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"pxkv/node/kv"
)

// fakeEncryption is that of a node whose rotations do not end.
type fakeEncryption struct {
	mu    sync.Mutex
	fails error
	view  kv.EncryptionView
}

func newFakeEncryption() *fakeEncryption {
	return &fakeEncryption{view: kv.EncryptionView{Encrypted: true, WrappedBy: "5d2cb877beea6611",
		DataKeys: []kv.DataKeyView{
			{ID: 1, Made: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), Current: true, Files: 6, Bytes: 33559079},
		}}}
}

func (f *fakeEncryption) Encryption() (kv.EncryptionView, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.view, f.fails
}

func (f *fakeEncryption) RotateKeys() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.view.Rotating {
		return errors.New("a rotation is under way: wait until what is old has been rewritten")
	}
	last := f.view.DataKeys[0]
	f.view.DataKeys[0].Current = false
	f.view.DataKeys = append(f.view.DataKeys, kv.DataKeyView{ID: 2, Made: last.Made.AddDate(0, 0, 1), Current: true})
	f.view.Rotating, f.view.Rotations = true, 1
	return f.fails
}

func TestKeysAreShownAndRotated(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		what, request string
		encryption    Encryption
		status        int
		text          string
	}{
		{"nothing is encrypted", "GET /cluster/encryption", nil, 200, `{"encrypted":false,"rotating":false,`},
		{"there is nothing to rotate", "POST /cluster/encryption", nil, 409, "not on a disk"},
		{"the keys are shown", "GET /cluster/encryption", newFakeEncryption(), 200, `"wrapped_by":"5d2cb877beea6611"`},
		{"they are rotated", "POST /cluster/encryption", newFakeEncryption(), 200, `"rotating":true`},
		{"a failure says why", "POST /cluster/encryption", &fakeEncryption{fails: errors.New("no key file"),
			view: newFakeEncryption().view}, 409, "The keys are not rotated: no key file"},
		{"so does a look", "GET /cluster/encryption", &fakeEncryption{fails: errors.New("broken")}, 409,
			"could not be looked at: broken"},
		{"it is no other method", "PUT /cluster/encryption", newFakeEncryption(), 405, "use GET, HEAD, POST"},
	} {
		s := newTestServer(t, newFake(), func(o *Options) { o.Encryption = tc.encryption })
		w := do(t, s.Handler(), tc.request, "")
		if w.Code != tc.status || !strings.Contains(w.Body.String(), tc.text) {
			t.Errorf("%s: %d %s, want %d with %q", tc.what, w.Code, w.Body, tc.status, tc.text)
		}
		if w.Code == http.StatusOK {
			var v kv.EncryptionView
			if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil || v.DataKeys == nil {
				t.Errorf("%s: %v in %s", tc.what, err, w.Body)
			}
		}
	}
}
