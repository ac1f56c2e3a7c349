package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"pxkv/node/kv"
)

const (
	defaultServer  = "http://127.0.0.1:8080"
	serverEnv      = "PXKV_SERVER"
	defaultTimeout = 10 * time.Second
	maxErrorBytes  = 64 << 10 // of an error's body that is read
	maxViewBytes   = 64 << 20 // of an answer about the cluster
)

// clientFlags are the flags of every command that speaks to a node.
type clientFlags struct {
	servers []string
	timeout time.Duration
}

func (f *clientFlags) add(cmd *cobra.Command) {
	fallback := []string{defaultServer}
	if s := os.Getenv(serverEnv); s != "" {
		fallback = strings.Split(s, ",")
	}
	cmd.Flags().StringSliceVar(&f.servers, "server", fallback,
		"the node to ask; of several, comma-separated or repeated, the next when one cannot answer "+
			"(environment: "+serverEnv+")")
	cmd.Flags().DurationVar(&f.timeout, "timeout", defaultTimeout,
		"give up when the node is silent for so long; 0 waits for ever")
}

// client returns the client that the flags describe, or a usage error.
func (f *clientFlags) client(cmd *cobra.Command) (*client, error) {
	if f.timeout < 0 {
		return nil, usageError(cmd, "--timeout cannot be negative, as in %v", f.timeout)
	}
	var bases []*url.URL
	for _, s := range f.servers {
		base, err := parseServer(s)
		if err != nil {
			return nil, usageError(cmd, "%w", err)
		}
		bases = append(bases, base)
	}
	if len(bases) == 0 {
		return nil, usageError(cmd, "--server names no node")
	}
	return &client{base: bases[0], bases: bases, timeout: f.timeout, http: &http.Client{
		// A command makes a call or two: it keeps no connection that it would have to close.
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true, DisableCompression: true,
			// For what stands between and does not know how to be asked first (see askFirst).
			ExpectContinueTimeout: 2 * time.Second,
		},
		// A redirect would lead to something that is not this API: show it instead.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// parseServer reads the address of a node: a URL, or host:port for one of http.
func parseServer(s string) (*url.URL, error) {
	full := strings.TrimSpace(s)
	if !strings.Contains(full, "://") {
		full = "http://" + full
	}
	u, err := url.Parse(full)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.RawQuery != "" ||
		u.Fragment != "" {
		return nil, fmt.Errorf("server %q is not an address like %s", s, defaultServer)
	}
	u.Path = strings.TrimRight(u.Path, "/")
	return u, nil
}

// client speaks to one node, or to the next of several when one was certainly not able to answer.
// It makes each request once: what to repeat is the user's decision, and a write of unknown
// outcome must not be repeated in silence.
type client struct {
	base    *url.URL      // asked now, or last
	bases   []*url.URL    // to be asked in turn
	timeout time.Duration // the longest silence of the node; 0 is no limit
	http    *http.Client
}

// at is a client that asks one node only.
func (c *client) at(base *url.URL) *client {
	one := *c
	one.base, one.bases = base, []*url.URL{base}
	return &one
}

// request is one call of the HTTP API.
type request struct {
	method string
	path   string // escaped, beginning with a slash
	query  url.Values
	header http.Header
	body   []byte
	also   int  // a status that is an answer besides 2xx
	timed  bool // it takes timeout=, as all do that are about keys
	// again is what to do when the outcome of a write is unknown; empty: to read the key.
	again string
}

// advice is what to do when the outcome of a write is unknown.
func (r *request) advice() string {
	return cmp.Or(r.again, "read the key before you repeat it")
}

func (r *request) isWrite() bool { return r.method != http.MethodGet && r.method != http.MethodHead }

// keyPath returns the path of key as a resource. Everything but letters, digits and "-_~."
// is escaped; "." and ".." are too, for they mean something else in a path.
func keyPath(key string) string {
	switch key {
	case ".":
		return "/kv/%2E"
	case "..":
		return "/kv/%2E%2E"
	}
	return "/kv/" + url.PathEscape(key)
}

// checkKey reports a key that no node would take, before asking one.
func checkKey(cmd *cobra.Command, key string) error {
	if err := kv.ValidateKey([]byte(key)); err != nil {
		return usageError(cmd, "%w", err)
	}
	return nil
}

// askFirst is the size in bytes of a body from which the node is asked whether it takes it, before
// it is sent: a node that refuses a value of this size does not read it, and its answer could be
// lost behind a connection that breaks.
const askFirst = 64 << 10

// do makes the call and returns the answer if its status is 2xx; the caller closes its
// Body. Every other ending is an error with its exit code.
func (c *client) do(ctx context.Context, r *request) (resp *http.Response, err error) {
	for _, c.base = range c.bases {
		var next bool
		if resp, next, err = c.ask(ctx, r); !next || ctx.Err() != nil {
			break
		}
	}
	return resp, err
}

// ask makes the call to one node. next says that nothing was done and another node may answer.
func (c *client) ask(ctx context.Context, r *request) (_ *http.Response, next bool, _ error) {
	watch := newSilence(ctx, c.timeout)
	var connected atomic.Bool // from here on, the node may have seen the request
	ctx = httptrace.WithClientTrace(watch.ctx, &httptrace.ClientTrace{
		GotConn:      func(httptrace.GotConnInfo) { connected.Store(true) },
		WroteRequest: func(httptrace.WroteRequestInfo) { watch.broken() }, // the node's own limit begins here, too
	})
	req, err := http.NewRequestWithContext(ctx, r.method, c.target(r), bytes.NewReader(r.body))
	if err != nil {
		watch.end()
		return nil, false, fmt.Errorf("making a request to %s: %w", c.base, err)
	}
	for name, values := range r.header {
		req.Header[name] = values
	}
	req.Header.Set("User-Agent", "pxkv-cli")
	if len(r.body) >= askFirst {
		req.Header.Set("Expect", "100-continue")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		watch.end()
		maybeDone := r.isWrite() && connected.Load()
		return nil, !maybeDone, c.connectionError(watch.cause(err), maybeDone, r)
	}
	resp.Body = &watchedBody{ReadCloser: resp.Body, watch: watch}
	if resp.StatusCode >= 200 && resp.StatusCode <= 299 || resp.StatusCode == r.also {
		return resp, false, nil
	}
	defer resp.Body.Close()
	err = c.statusError(r, resp)
	_, next = errors.AsType[*unavailableError](err)
	return nil, next, err
}

// longestPatience is the largest timeout= that a node takes.
const longestPatience = 60 * time.Second

// target is the URL of a call. A node hears how long it may take, a little less than it is waited for: so it can say
// that a write is certainly not done, where silence would leave its outcome unknown.
func (c *client) target(r *request) string {
	target := c.base.String() + r.path
	query := maps.Clone(r.query)
	if r.timed || strings.HasPrefix(r.path, "/kv") || r.path == "/batch" {
		patience := longestPatience
		if c.timeout > 0 {
			patience = min(c.timeout-min(c.timeout/4, 500*time.Millisecond), longestPatience)
		}
		if query == nil {
			query = url.Values{}
		}
		query.Set("timeout", patience.String())
	}
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	return target
}

// view makes a GET and decodes the JSON answer into what into points to.
func (c *client) view(ctx context.Context, path string, into any) error {
	_, err := c.viewOr(ctx, &request{method: http.MethodGet, path: path}, into)
	return err
}

// viewOr is view for a request that more than one status answers: it returns which.
func (c *client) viewOr(ctx context.Context, r *request, into any) (status int, err error) {
	resp, err := c.do(ctx, r)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxViewBytes)).Decode(into); err != nil {
		return 0, fmt.Errorf("the answer of %s%s is not what a pxkv node says: %w; is this the HTTP address of one?",
			c.base, r.path, err)
	}
	return resp.StatusCode, nil
}

// silence ends a context when nothing has happened for a time.
type silence struct {
	ctx     context.Context
	cancel  context.CancelCauseFunc
	timer   *time.Timer // nil when there is no limit
	timeout time.Duration
}

var errSilence = errors.New("no answer in time")

func newSilence(parent context.Context, timeout time.Duration) *silence {
	s := &silence{timeout: timeout}
	s.ctx, s.cancel = context.WithCancelCause(parent)
	if timeout > 0 {
		s.timer = time.AfterFunc(timeout, func() { s.cancel(errSilence) })
	}
	return s
}

// broken says that something has happened: the wait begins anew.
func (s *silence) broken() {
	if s.timer != nil {
		s.timer.Reset(s.timeout)
	}
}

func (s *silence) end() {
	if s.timer != nil {
		s.timer.Stop()
	}
	s.cancel(nil)
}

// cause returns errSilence instead of the cancellation that silence led to.
func (s *silence) cause(err error) error {
	if errors.Is(context.Cause(s.ctx), errSilence) {
		return errSilence
	}
	return err
}

// watchedBody is an answer's body that must keep coming.
type watchedBody struct {
	io.ReadCloser
	watch *silence
}

// Read implements io.Reader.
func (b *watchedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.watch.broken()
	if err != nil && !errors.Is(err, io.EOF) {
		err = b.watch.cause(err)
	}
	return n, err
}

// Close implements io.Closer.
func (b *watchedBody) Close() error {
	b.watch.end()
	return b.ReadCloser.Close()
}
