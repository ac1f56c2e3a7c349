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

// door makes the requests of one connection to one server.
type door struct {
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

// newDoor returns the door to server.
func newDoor(target Target, server *url.URL, p *payloads) *door {
	d := &door{target: target, payloads: p, head: make([]byte, 0, smallRequest)}
	switch target {
	case PxkvRaw:
		d.get = newTemplate(http.MethodGet, server, "/kv/", "")
		d.put = newTemplate(http.MethodPut, server, "/kv/", "text/plain; charset=utf-8")
	case PxkvJSON:
		d.get = newTemplate(http.MethodGet, server, "/kv?key=", "")
		d.put = newTemplate(http.MethodPut, server, "/kv", "application/json")
	case Etcd:
		d.get = newTemplate(http.MethodPost, server, "/v3/kv/range", "application/json")
		d.put = newTemplate(http.MethodPost, server, "/v3/kv/put", "application/json")
	case RawGet:
		d.get = newTemplate(http.MethodGet, server, "", "")
	}
	return d
}

func newTemplate(method string, server *url.URL, path, contentType string) template {
	at := server.RequestURI()
	if path != "" {
		at = strings.TrimRight(server.EscapedPath(), "/") + path
	}
	t := template{line: method + " " + at, rest: " HTTP/1.1\r\nHost: " + server.Host + "\r\nUser-Agent: pxkv-bench\r\n"}
	if u := server.User; u != nil {
		password, _ := u.Password()
		t.rest += "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(u.Username()+":"+password)) + "\r\n"
	}
	if contentType != "" {
		t.rest += "Content-Type: " + contentType + "\r\n"
	}
	return t
}

// read returns a request for key number key, good until the next one is made.
func (d *door) read(key int) (head, body []byte) {
	switch d.target {
	case PxkvRaw, PxkvJSON:
		return d.request(d.get, keyText(key), nil)
	case Etcd:
		return d.request(d.get, "", d.etcdKey(key, `"}`))
	default:
		return d.request(d.get, "", nil)
	}
}

// write returns a request that sets key number key to one of the prepared values, good until
// the next one is made.
func (d *door) write(key, variant int) (head, body []byte) {
	value := d.payloads.values[variant%len(d.payloads.values)]
	switch d.target {
	case PxkvRaw:
		return d.request(d.put, keyText(key), value)
	case PxkvJSON:
		d.body = append(d.body[:0], `{"key":"`...)
		d.body = append(d.body, keyText(key)...)
		d.body = append(d.body, `","value":"`...)
	default:
		d.etcdKey(key, `","value":"`)
	}
	d.body = append(d.body, value...)
	d.body = append(d.body, `"}`...)
	return d.request(d.put, "", d.body)
}

// etcdKey begins a body for etcd's gateway, which wants keys and values in base64.
func (d *door) etcdKey(key int, then string) []byte {
	d.body = append(d.body[:0], `{"key":"`...)
	d.body = base64.StdEncoding.AppendEncode(d.body, []byte(keyText(key)))
	d.body = append(d.body, then...)
	return d.body
}

func (d *door) request(t template, key string, body []byte) (head, _ []byte) {
	d.head = append(d.head[:0], t.line...)
	d.head = append(d.head, key...)
	d.head = append(d.head, t.rest...)
	if body != nil {
		d.head = append(d.head, "Content-Length: "...)
		d.head = strconv.AppendInt(d.head, int64(len(body)), 10)
		d.head = append(d.head, "\r\n"...)
	}
	d.head = append(d.head, "\r\n"...)
	return d.head, body
}

// missing reports whether an answer to a read says that there is no such key.
func (d *door) missing(status int, body []byte) bool {
	if d.target == Etcd {
		return status == http.StatusOK && !bytes.Contains(body, []byte(`"kvs"`))
	}
	return status == http.StatusNotFound && d.target != RawGet
}

// parseServer reads the base URL of a server.
func parseServer(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return nil, fmt.Errorf("server %q is not a URL like http://127.0.0.1:8080", s)
	}
	return u, nil
}
