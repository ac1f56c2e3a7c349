//go:build processes

package processes

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// outcome is how an attempt ended.
type outcome uint8

const (
	answered    outcome = iota // the operation says what the answer was
	unknown                    // it may or may not have happened
	refused                    // certainly not done: nobody listens there
	unavailable                // certainly not done: 503, or 507
)

// client makes single attempts, over HTTP or in the Redis protocol, and never repeats one.
type client struct {
	history  *history
	http     *http.Client
	redis    *redisDoor     // nil for HTTP
	values   *atomic.Uint64 // draws unique values
	surprise func(error)    // an answer that the documentation does not know
}

func newClient(h *history, values *atomic.Uint64, timeout time.Duration, surprise func(error)) *client {
	return &client{history: h, values: values, surprise: surprise, http: &http.Client{
		Timeout: timeout,
		Transport: &http.Transport{
			MaxIdleConnsPerHost: 4, DialContext: (&net.Dialer{Timeout: time.Second}).DialContext,
		},
	}}
}

// newRedisClient is the same in the Redis protocol.
func newRedisClient(h *history, values *atomic.Uint64, timeout time.Duration, surprise func(error)) *client {
	c := newClient(h, values, timeout, surprise)
	c.redis = &redisDoor{patience: timeout, conns: map[string]*redisConn{}}
	return c
}

func (c *client) close() {
	c.http.CloseIdleConnections()
	if c.redis != nil {
		c.redis.close()
	}
}

// do makes one attempt through a node, and records it unless it was certainly not done. A
// write gets a value of its own. version is what a swap must find, that of op.expect.
func (c *client) do(ctx context.Context, through *node, op operation, version uint64) (operation, outcome) {
	if op.kind != opGet && op.kind != opDelete {
		op.value = c.values.Add(1)
	}
	op.node, op.call = through.name, c.history.now()
	var how outcome
	var err error
	if c.redis != nil {
		how, err = c.redis.attempt(through, &op)
	} else {
		how, err = c.attempt(ctx, through, &op, version)
	}
	op.ret = c.history.now()
	switch how {
	case unknown:
		op.unknown, op.ret = true, never
	case refused, unavailable:
		c.history.mu.Lock()
		defer c.history.mu.Unlock()
		if how == refused {
			c.history.refused++
		} else {
			c.history.unavailable++
		}
		return op, how
	}
	if err != nil {
		c.surprise(fmt.Errorf("%s of %s through %s: %w", kindNames[op.kind], op.key, op.node, err))
	}
	c.history.add(op)
	return op, how
}

// attempt sends the request and fills in what the answer says.
func (c *client) attempt(ctx context.Context, through *node, op *operation, version uint64) (outcome, error) {
	req, err := request(ctx, through, op, version)
	if err != nil {
		return refused, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
			return refused, nil
		}
		return unknown, nil
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		return unknown, nil
	}
	return interpret(op, resp, body)
}

func request(ctx context.Context, through *node, op *operation, version uint64) (*http.Request, error) {
	method, body := http.MethodGet, io.Reader(nil)
	switch op.kind {
	case opPut, opCreate, opSwap:
		method, body = http.MethodPut, strings.NewReader(strconv.FormatUint(op.value, 10))
	case opDelete:
		method = http.MethodDelete
	}
	req, err := http.NewRequestWithContext(ctx, method, through.url()+"/kv/"+op.key, body)
	if err != nil {
		return nil, err
	}
	switch op.kind {
	case opCreate:
		req.Header.Set("If-None-Match", "*")
	case opSwap:
		req.Header.Set("If-Match", fmt.Sprintf("%q", strconv.FormatUint(version, 10)))
	}
	return req, nil
}

// interpret reads an answer the way the documentation tells clients to.
func interpret(op *operation, resp *http.Response, body []byte) (outcome, error) {
	var err error
	if tag := resp.Header.Get("Etag"); tag != "" {
		op.version, err = strconv.ParseUint(strings.Trim(tag, `"`), 10, 64)
	}
	write, read, status := op.kind != opGet && op.kind != opDelete, op.kind == opGet, resp.StatusCode
	switch {
	case err != nil:
	case write && (status == http.StatusOK || status == http.StatusCreated):
		op.applied, op.created = true, status == http.StatusCreated
		return answered, nil
	case write && status == http.StatusPreconditionFailed:
		op.hidden = op.version != 0
		return answered, nil
	case op.kind == opDelete && status == http.StatusOK:
		op.applied = true
		return answered, nil
	case (read || op.kind == opDelete) && status == http.StatusNotFound:
		return answered, nil
	case read && status == http.StatusOK:
		op.seen, err = strconv.ParseUint(string(body), 10, 64)
		if err == nil {
			return answered, nil
		}
	case status == http.StatusServiceUnavailable, status == http.StatusInsufficientStorage:
		return unavailable, nil
	case status == http.StatusGatewayTimeout && !read:
		return unknown, nil
	}
	return unknown, errors.Join(err, fmt.Errorf("an answer that is not documented: %s: %.200q", resp.Status, body))
}
