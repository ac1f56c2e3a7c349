package load

import (
	"net/http"
	"strconv"
)

// BareHandler answers every request with size bytes and does nothing else: the most that
// net/http itself can give on this machine, for comparison.
func BareHandler(size int) http.Handler {
	body := newValues(0, size)[0]
	length := strconv.Itoa(size)
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		h.Set("Content-Type", "application/octet-stream")
		h.Set("Content-Length", length)
		_, _ = w.Write(body) // an error means that the client has gone, which needs no answer
	})
}
