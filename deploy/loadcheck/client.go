package loadcheck

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"
)

// attemptTimeout bounds one HTTP request. It is longer than any time a node may take to
// say that an outcome is unknown, so that the node's own answer is what counts.
const attemptTimeout = 10 * time.Second

// Target is one node as the client reaches it.
type Target struct {
	Name string // for reports
	URL  string // such as http://127.0.0.1:8080
}

// outcome is how one attempt ended.
type outcome int

const (
	done    outcome = iota
	absent          // a read found no such key
	notDone         // certainly not done; may be repeated
	refused         // certainly not done, since nobody listens there
	unknown         // may or may not have happened
	failed          // certainly not done, and a repetition would not help
)

// client sends single attempts and never repeats one.
type client struct{ http *http.Client }

func newClient(connections int) *client {
	return &client{http: &http.Client{
		Transport: &http.Transport{
			MaxIdleConnsPerHost: connections,
			DialContext:         (&net.Dialer{Timeout: 2 * time.Second}).DialContext,
		},
		Timeout: attemptTimeout,
	}}
}

func (c *client) close() { c.http.CloseIdleConnections() }

// put writes one pair through t.
func (c *client) put(ctx context.Context, t Target, key, value string) (outcome, error) {
	body, err := json.Marshal(map[string]string{"key": key, "value": value})
	if err != nil {
		return failed, fmt.Errorf("put %s: %w", key, err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, t.URL+"/kv", bytes.NewReader(body))
	if err != nil {
		return failed, fmt.Errorf("put %s through %s: %w", key, t.Name, err)
	}
	req.Header.Set("Content-Type", "application/json")
	o, _, err := c.do(req)
	if err != nil {
		return o, fmt.Errorf("put %s through %s: %w", key, t.Name, err)
	}
	return done, nil
}

// get reads one key through t and compares. Another value than the wanted one is an error with
// outcome failed.
func (c *client) get(ctx context.Context, t Target, key, want string) (outcome, error) {
	o, _, err := c.read(ctx, t, "?key="+url.QueryEscape(key), key, want)
	return o, err
}

// getOwn is like get, but takes an answer only from the replica on t itself. That one may be
// behind, or still be filled: then the outcome is notDone.
func (c *client) getOwn(ctx context.Context, t Target, key, want string) (outcome, error) {
	o, by, err := c.read(ctx, t, "?consistency=stale&key="+url.QueryEscape(key), key, want)
	switch {
	case o == absent:
		return notDone, err
	case err == nil && by != t.Name:
		return notDone, fmt.Errorf("get %s from %s: it has no replica and let %s answer", key, t.Name, by)
	}
	return o, err
}

func (c *client) read(ctx context.Context, t Target, query, key, want string) (o outcome, by string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, t.URL+"/kv"+query, nil)
	if err != nil {
		return failed, "", fmt.Errorf("get %s from %s: %w", key, t.Name, err)
	}
	o, answer, err := c.do(req)
	if err != nil {
		return o, "", fmt.Errorf("get %s from %s: %w", key, t.Name, err)
	}
	var pair map[string]string
	if err := json.Unmarshal(answer.body, &pair); err != nil || pair[key] != want {
		return failed, answer.by, fmt.Errorf("get %s from %s: answer %s, want the value %q", key, t.Name, answer.body,
			want)
	}
	return done, answer.by, nil
}

// ready tells whether t says that it serves.
func (c *client) ready(ctx context.Context, t Target) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, t.URL+"/readyz", nil)
	if err != nil {
		return false
	}
	o, _, err := c.do(req)
	return err == nil && o == done
}

// answer is what came with status 200.
type answer struct {
	by   string // the node that answered for the key
	body []byte // cut at 64 KiB
}

// do sends one request. The error is nil for status 200 only, and then the outcome is done.
func (c *client) do(req *http.Request) (outcome, answer, error) {
	resp, err := c.http.Do(req)
	if err != nil {
		if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
			return refused, answer{}, err
		}
		return unknown, answer{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		return unknown, answer{}, err
	}
	if resp.StatusCode == http.StatusOK {
		return done, answer{by: resp.Header.Get("X-Pxkv-Node"), body: body}, nil
	}
	return outcomeOf(req.Method, resp.StatusCode), answer{}, fmt.Errorf("%s: %.200s", resp.Status, body)
}

// outcomeOf sorts the statuses other than 200. What is not promised to be "not done" counts
// as unknown.
func outcomeOf(method string, status int) outcome {
	switch {
	case status == http.StatusNotFound && method == http.MethodGet:
		return absent
	case status == http.StatusServiceUnavailable:
		return notDone
	case status < 500 || status == http.StatusInsufficientStorage:
		return failed
	}
	return unknown
}
