package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"sync"

	"pxkv/cmd/pxkv/transfer"
)

// turn lets the client begin with the next server.
func (c *client) turn() { c.bases = append(slices.Clone(c.bases[1:]), c.bases[0]) }

// lister is what an export asks. After a list that broke off, it begins with the next server.
type lister struct {
	client *client
	asked  bool
}

// List implements transfer.Lister.
func (l *lister) List(ctx context.Context, query url.Values) (io.ReadCloser, error) {
	if l.asked {
		l.client.turn()
	}
	l.asked = true
	resp, err := l.client.do(ctx, &request{method: http.MethodGet, path: "/kv", query: query})
	if err != nil {
		return nil, err
	}
	return resp.Body, nil
}

// batcher is what an import asks. Calls at one time begin with different servers, and so share them.
type batcher struct {
	client *client // is only copied

	mu   sync.Mutex
	free []*client
	made int
}

// newBatcher makes one of a client. Its connections are kept; close them in the end.
func newBatcher(c *client) *batcher {
	kept := *c
	kept.http = &http.Client{CheckRedirect: c.http.CheckRedirect}
	if t, ok := c.http.Transport.(*http.Transport); ok {
		t = t.Clone()
		t.DisableKeepAlives, t.MaxIdleConnsPerHost = false, 16
		kept.http.Transport = t
	}
	return &batcher{client: &kept}
}

func (b *batcher) close() { b.client.http.CloseIdleConnections() }

func (b *batcher) take() *client {
	b.mu.Lock()
	defer b.mu.Unlock()
	if n := len(b.free); n > 0 {
		c := b.free[n-1]
		b.free = b.free[:n-1]
		return c
	}
	c := *b.client
	for range b.made % len(c.bases) {
		c.turn()
	}
	b.made++
	return &c
}

func (b *batcher) giveBack(c *client) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.free = append(b.free, c)
}

// maxBatchAnswer bounds the answer to a batch of puts in bytes.
const maxBatchAnswer = 16 << 20

// Batch implements transfer.Store.
func (b *batcher) Batch(ctx context.Context, body []byte) ([]byte, error) {
	c := b.take()
	defer b.giveBack(c)
	var resp *http.Response
	var err error
	next := false
	for range c.bases {
		c.base = c.bases[0]
		resp, next, err = c.ask(ctx, &request{method: http.MethodPost, path: "/batch", body: body,
			header: http.Header{"Content-Type": {"application/json"}}})
		if err == nil {
			break
		}
		c.turn() // also when the outcome is unknown: whoever did not answer may not do so the next time
		if !next {
			break
		}
	}
	if err != nil {
		return nil, batchFailure(err, next)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxBatchAnswer))
	if err != nil {
		c.turn()
		return nil, &transfer.Failure{Ending: transfer.Unknown,
			Err: fmt.Errorf("outcome unknown: the answer of %s to a batch broke off: %w", c.base, err)}
	}
	return answer, nil
}

// batchFailure says how a call ended that was not answered with 200. again says that nothing was done for now.
func batchFailure(err error, again bool) error {
	failure := func(e transfer.Ending) error { return &transfer.Failure{Ending: e, Err: err} }
	if again {
		return failure(transfer.NotDone)
	}
	if e, ok := errors.AsType[*exitError](err); ok && e.code == exitUnknown {
		return failure(transfer.Unknown)
	}
	if e, ok := errors.AsType[*answerError](err); ok {
		switch e.status {
		case http.StatusBadRequest, http.StatusRequestEntityTooLarge:
			return failure(transfer.Refused)
		case http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusInsufficientStorage:
			return failure(transfer.NotDone)
		}
	}
	return err
}
