package httpapi

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"pxkv/node/kv"
	"pxkv/transport/wiretest"
)

// The time limit of a request begins when all of it is here: an upload that takes longer than the
// limit is stored, and answered so.
func TestTimeBeginsWhenTheBodyIsHere(t *testing.T) {
	t.Parallel()
	f := newFake()
	f.onWrite = func(ctx context.Context, _ *kv.Command) {
		if ctx.Err() != nil {
			t.Errorf("the write came with a context that had ended: %v", ctx.Err())
		}
	}
	addr, _ := start(t, f, func(o *Options) { o.RequestTimeout = 150 * time.Millisecond })
	for head, body := range map[string]string{
		"PUT /kv/a":   strings.Repeat("v", 50),
		"PUT /kv":     `{"key":"a","value":"vvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvv"}`,
		"POST /batch": `{"ops":[{"op":"put","key":"a","value":"vvvvvvvvvvvvv"}]}`,
	} {
		c := wiretest.Dial(t, addr)
		fmt.Fprintf(c, "%s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", head, len(body))
		for len(body) > 0 { // a steady client, and a slow one
			n := min(10, len(body))
			io.WriteString(c, body[:n])
			body = body[n:]
			time.Sleep(50 * time.Millisecond)
		}
		if res, body := wiretest.Answer(t, bufio.NewReader(c)); res.StatusCode/100 != 2 {
			t.Errorf("%s: %d %s", head, res.StatusCode, body)
		}
	}
}
