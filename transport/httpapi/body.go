package httpapi

import (
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"time"
)

// firstBody is how much of a body is allocated on the client's word alone; more is
// allocated as it arrives.
const firstBody = 64 << 10

// readBody reads the whole body, at most limit bytes of it. The slice is the caller's: it
// becomes part of a command, so it is not pooled.
func (x *exchange) readBody(limit int) ([]byte, error) {
	r := x.r
	if enc := r.Header["Content-Encoding"]; len(enc) > 0 && !strings.EqualFold(enc[0], "identity") {
		return nil, &refusal{
			status: http.StatusUnsupportedMediaType, code: "not_supported",
			text: "Content-Encoding " + quoted(enc[0]) +
				" is not supported by this version: send the bytes as they are",
		}
	}
	if r.ContentLength == 0 {
		return nil, nil
	}
	if r.ContentLength > int64(limit) {
		return nil, tooLarge("The body", limit)
	}
	// A body of known length ends in the read that fills the buffer. Without a length one
	// byte more than the limit tells a body at the limit from one beyond it.
	most, size := limit+1, 4096
	if r.ContentLength > 0 {
		most, size = int(r.ContentLength), int(r.ContentLength)
	}
	size = min(size, most, firstBody)
	if !x.account.Take(size) {
		return nil, errOverloaded
	}
	buf := make([]byte, 0, size)
	for {
		if len(buf) == cap(buf) {
			if len(buf) == most {
				break
			}
			size = min(2*cap(buf), most)
			if !x.account.Take(size - cap(buf)) {
				return nil, errOverloaded
			}
			buf = append(make([]byte, 0, size), buf...)
		}
		n, err := r.Body.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, bodyError(err)
		}
	}
	if len(buf) > limit {
		return nil, tooLarge("The body", limit)
	}
	x.ready = time.Now()
	return buf, nil
}

func bodyError(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return errSlowBody
	}
	return errBrokenBody
}
