package load

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// payloads are the bodies of the writes of one measurement, encoded once for its target
// and shared by all connections, which only read them.
type payloads struct {
	values [][]byte
}

func newPayloads(c *Config) *payloads {
	p := &payloads{values: newValues(c.Seed, c.Size)}
	if c.Target == Etcd {
		for i, v := range p.values {
			p.values[i] = base64.StdEncoding.AppendEncode(nil, v)
		}
	}
	return p
}

// door makes the requests of one connection to one server.
type door struct {
	target   Target
	get, put *http.Request // templates, copied for each request
	payloads *payloads
}

// newDoor returns the door to server for requests that end with ctx.
func newDoor(ctx context.Context, target Target, server string, p *payloads) (*door, error) {
	d := &door{target: target, payloads: p}
	var getMethod, getPath, putMethod, putPath, contentType string
	switch target {
	case PxkvRaw:
		getMethod, getPath, putMethod, putPath = http.MethodGet, "/kv/", http.MethodPut, "/kv/"
		contentType = "text/plain; charset=utf-8"
	case PxkvJSON:
		getMethod, getPath, putMethod, putPath = http.MethodGet, "/kv", http.MethodPut, "/kv"
		contentType = "application/json"
	case Etcd:
		getMethod, getPath, putMethod, putPath = http.MethodPost, "/v3/kv/range", http.MethodPost, "/v3/kv/put"
		contentType = "application/json"
	case RawGet:
		getMethod, putMethod = http.MethodGet, http.MethodGet
	}
	var err error
	if d.get, err = newTemplate(ctx, getMethod, server, getPath); err != nil {
		return nil, err
	}
	if d.put, err = newTemplate(ctx, putMethod, server, putPath); err != nil {
		return nil, err
	}
	if contentType != "" {
		d.put.Header.Set("Content-Type", contentType)
	}
	if target == Etcd {
		d.get.Header.Set("Content-Type", contentType)
	}
	return d, nil
}

func newTemplate(ctx context.Context, method, server, path string) (*http.Request, error) {
	if path != "" {
		server = strings.TrimRight(server, "/") + path
	}
	r, err := http.NewRequestWithContext(ctx, method, server, nil)
	if err != nil {
		return nil, fmt.Errorf("server %q: %w", server, err)
	}
	return r, nil
}

// read returns a request for key number key. Each request is a copy of its template of
// its own, since the transport may still hold an earlier one after an error.
func (d *door) read(key int) *http.Request {
	r, u := cloneShallow(d.get)
	switch d.target {
	case PxkvRaw:
		u.Path += keyText(key)
	case PxkvJSON:
		u.RawQuery = "key=" + keyText(key)
	case Etcd:
		body := make([]byte, 0, 64)
		body = append(body, `{"key":"`...)
		body = base64.StdEncoding.AppendEncode(body, []byte(keyText(key)))
		body = append(body, `"}`...)
		setBody(r, body)
	}
	return r
}

// write returns a request that sets key number key to one of the prepared values.
func (d *door) write(key, variant int) *http.Request {
	r, u := cloneShallow(d.put)
	value := d.payloads.values[variant%len(d.payloads.values)]
	switch d.target {
	case PxkvRaw:
		u.Path += keyText(key)
		setBody(r, value)
	case PxkvJSON:
		body := make([]byte, 0, len(value)+64)
		body = append(body, `{"key":"`...)
		body = append(body, keyText(key)...)
		body = append(body, `","value":"`...)
		body = append(body, value...)
		setBody(r, append(body, `"}`...))
	case Etcd:
		body := make([]byte, 0, len(value)+64)
		body = append(body, `{"key":"`...)
		body = base64.StdEncoding.AppendEncode(body, []byte(keyText(key)))
		body = append(body, `","value":"`...)
		body = append(body, value...)
		setBody(r, append(body, `"}`...))
	}
	return r
}

func cloneShallow(template *http.Request) (*http.Request, *url.URL) {
	r := new(http.Request)
	*r = *template
	u := new(url.URL)
	*u = *template.URL
	r.URL = u
	return r, u
}

func setBody(r *http.Request, body []byte) {
	r.ContentLength = int64(len(body))
	if len(body) == 0 {
		r.Body = http.NoBody
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
}

// missing reports whether an answer to a read says that there is no such key.
func (d *door) missing(status int, body []byte) bool {
	if d.target == Etcd {
		return status == http.StatusOK && !bytes.Contains(body, []byte(`"kvs"`))
	}
	return status == http.StatusNotFound && d.target != RawGet
}
