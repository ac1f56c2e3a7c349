package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
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
	server  string
	timeout time.Duration
}

func (f *clientFlags) add(cmd *cobra.Command) {
	fallback := defaultServer
	if s := os.Getenv(serverEnv); s != "" {
		fallback = s
	}
	cmd.Flags().StringVar(&f.server, "server", fallback, "the node to ask (environment: "+serverEnv+")")
	cmd.Flags().DurationVar(&f.timeout, "timeout", defaultTimeout, "give up when the node is silent for so long; 0 waits for ever")
}

// client returns the client that the flags describe, or a usage error.
func (f *clientFlags) client(cmd *cobra.Command) (*client, error) {
	if f.timeout < 0 {
		return nil, usageError(cmd, "--timeout cannot be negative, as in %v", f.timeout)
	}
	base, err := parseServer(f.server)
	if err != nil {
		return nil, usageError(cmd, "%w", err)
	}
	return &client{base: base, timeout: f.timeout, http: &http.Client{
		// A command makes a call or two: it keeps no connection that it would have to close.
		Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true, DisableCompression: true},
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
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("server %q is not an address like %s", s, defaultServer)
	}
	u.Path = strings.TrimRight(u.Path, "/")
	return u, nil
}

// client speaks to one node. It makes each request once: what to repeat is the user's
// decision, and a write of unknown outcome must not be repeated in silence.
type client struct {
	base    *url.URL
	timeout time.Duration // the longest silence of the node; 0 is no limit
	http    *http.Client
}

// request is one call of the HTTP API.
type request struct {
	method string
	path   string // escaped, beginning with a slash
	query  url.Values
	header http.Header
	body   []byte
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

// do makes the call and returns the answer if its status is 2xx; the caller closes its
// Body. Every other ending is an error with its exit code.
func (c *client) do(ctx context.Context, r *request) (*http.Response, error) {
	watch := newSilence(ctx, c.timeout)
	var connected atomic.Bool // from here on, the node may have seen the request
	ctx = httptrace.WithClientTrace(watch.ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { connected.Store(true) },
	})
	target := c.base.String() + r.path
	if len(r.query) > 0 {
		target += "?" + r.query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, r.method, target, bytes.NewReader(r.body))
	if err != nil {
		watch.end()
		return nil, fmt.Errorf("making a request to %s: %w", c.base, err)
	}
	for name, values := range r.header {
		req.Header[name] = values
	}
	req.Header.Set("User-Agent", "pxkv-cli")
	resp, err := c.http.Do(req)
	if err != nil {
		watch.end()
		return nil, c.connectionError(watch.cause(err), r.isWrite() && connected.Load())
	}
	resp.Body = &watchedBody{ReadCloser: resp.Body, watch: watch}
	if resp.StatusCode >= 200 && resp.StatusCode <= 299 {
		return resp, nil
	}
	defer resp.Body.Close()
	return nil, c.statusError(r, resp)
}

// view makes a GET and decodes the JSON answer into what into points to.
func (c *client) view(ctx context.Context, path string, into any) error {
	resp, err := c.do(ctx, &request{method: http.MethodGet, path: path})
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxViewBytes)).Decode(into); err != nil {
		return fmt.Errorf("the answer of %s%s is not what a pxkv node says: %w; is this the HTTP address of one?", c.base, path, err)
	}
	return nil
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
	if err != nil && err != io.EOF {
		err = b.watch.cause(err)
	}
	return n, err
}

// Close implements io.Closer.
func (b *watchedBody) Close() error {
	b.watch.end()
	return b.ReadCloser.Close()
}
