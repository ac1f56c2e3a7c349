package load

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
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

// requester makes the requests of one connection to one server.
type requester struct {
	target   Target
	get, put template
	payloads *payloads

	head, body []byte // of the last request; reused
}

// template is the head of a request, but for the key in its path and the length of its body.
type template struct {
	line string // method and path, up to where the key goes
	rest string // from behind the key to the last header
}

// smallRequest is the room in bytes for a request that is sent in one piece.
const smallRequest = 4096

// newRequester returns who asks server.
func newRequester(target Target, server *url.URL, p *payloads) *requester {
	r := &requester{target: target, payloads: p, head: make([]byte, 0, smallRequest)}
	switch target {
	case PxkvRaw:
		r.get = newTemplate(http.MethodGet, server, "/kv/", "")
		r.put = newTemplate(http.MethodPut, server, "/kv/", "text/plain; charset=utf-8")
	case PxkvJSON:
		r.get = newTemplate(http.MethodGet, server, "/kv?key=", "")
		r.put = newTemplate(http.MethodPut, server, "/kv", "application/json")
	case Etcd:
		r.get = newTemplate(http.MethodPost, server, "/v3/kv/range", "application/json")
		r.put = newTemplate(http.MethodPost, server, "/v3/kv/put", "application/json")
	case RawGet:
		r.get = newTemplate(http.MethodGet, server, "", "")
	}
	return r
}

func newTemplate(method string, server *url.URL, path, contentType string) template {
	at := server.RequestURI()
	if path != "" {
		at = strings.TrimRight(server.EscapedPath(), "/") + path
	}
	t := template{line: method + " " + at, rest: " HTTP/1.1\r\nHost: " + server.Host + "\r\nUser-Agent: pxkv-bench\r\n"}
	if u := server.User; u != nil {
		password, _ := u.Password()
		t.rest += "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(u.Username()+":"+password)) +
			"\r\n"
	}
	if contentType != "" {
		t.rest += "Content-Type: " + contentType + "\r\n"
	}
	return t
}

// read returns a request for key number key, good until the next one is made.
func (r *requester) read(key int) (head, body []byte) {
	switch r.target {
	case PxkvRaw, PxkvJSON:
		return r.request(r.get, keyText(key), nil)
	case Etcd:
		return r.request(r.get, "", r.etcdKey(key, `"}`))
	default:
		return r.request(r.get, "", nil)
	}
}

// write returns a request that sets key number key to one of the prepared values, good until
// the next one is made.
func (r *requester) write(key, variant int) (head, body []byte) {
	value := r.payloads.values[variant%len(r.payloads.values)]
	switch r.target {
	case PxkvRaw:
		return r.request(r.put, keyText(key), value)
	case PxkvJSON:
		r.body = append(r.body[:0], `{"key":"`...)
		r.body = append(r.body, keyText(key)...)
		r.body = append(r.body, `","value":"`...)
	default:
		r.etcdKey(key, `","value":"`)
	}
	r.body = append(r.body, value...)
	r.body = append(r.body, `"}`...)
	return r.request(r.put, "", r.body)
}

// etcdKey begins a body for etcd's gateway, which wants keys and values in base64.
func (r *requester) etcdKey(key int, then string) []byte {
	r.body = append(r.body[:0], `{"key":"`...)
	r.body = base64.StdEncoding.AppendEncode(r.body, []byte(keyText(key)))
	r.body = append(r.body, then...)
	return r.body
}

func (r *requester) request(t template, key string, body []byte) (head, _ []byte) {
	r.head = append(r.head[:0], t.line...)
	r.head = append(r.head, key...)
	r.head = append(r.head, t.rest...)
	if body != nil {
		r.head = append(r.head, "Content-Length: "...)
		r.head = strconv.AppendInt(r.head, int64(len(body)), 10)
		r.head = append(r.head, "\r\n"...)
	}
	r.head = append(r.head, "\r\n"...)
	return r.head, body
}

// missing reports whether an answer to a read says that there is no such key.
func (r *requester) missing(status int, body []byte) bool {
	if r.target == Etcd {
		return status == http.StatusOK && !bytes.Contains(body, []byte(`"kvs"`))
	}
	return status == http.StatusNotFound && r.target != RawGet
}

// parseServer reads the base URL of a server.
func parseServer(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return nil, fmt.Errorf("server %q is not a URL like http://127.0.0.1:8080", s)
	}
	return u, nil
}
