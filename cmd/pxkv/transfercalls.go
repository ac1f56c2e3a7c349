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
	"time"

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
	resp, next, err := c.askInTurn(ctx, &request{method: http.MethodPost, path: "/batch", body: body,
		header: http.Header{"Content-Type": {"application/json"}}})
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

// Put implements transfer.Store.
func (b *batcher) Put(ctx context.Context, e *transfer.Entry, ifAbsent bool) (present bool, err error) {
	c := b.take()
	defer b.giveBack(c)
	r := &request{method: http.MethodPut, path: keyPath(string(e.Key)), body: e.Value.Data, query: url.Values{},
		header: http.Header{}}
	if e.Value.ContentType != "" {
		r.header.Set("Content-Type", e.Value.ContentType)
	}
	if e.Expires != 0 {
		// What has expired meanwhile is given the shortest life that there is.
		left := max(time.Until(time.UnixMilli(e.Expires)), time.Millisecond)
		r.query.Set("ttl", left.Round(time.Millisecond).String())
	}
	if ifAbsent {
		r.header.Set("If-None-Match", "*")
	}
	resp, next, err := c.askInTurn(ctx, r)
	if _, there := errors.AsType[*conditionError](err); there {
		return true, nil
	}
	if err != nil {
		return false, batchFailure(err, next)
	}
	return false, resp.Body.Close()
}

// askInTurn asks one server after the other until one does not say that another may be asked, as next does.
func (c *client) askInTurn(ctx context.Context, r *request) (resp *http.Response, next bool, err error) {
	for range c.bases {
		c.base = c.bases[0]
		if resp, next, err = c.ask(ctx, r); err == nil {
			break
		}
		if _, there := errors.AsType[*conditionError](err); there {
			break
		}
		c.turn() // also when the outcome is unknown: whoever did not answer may not do so the next time
		if !next {
			break
		}
	}
	return resp, next, err
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
