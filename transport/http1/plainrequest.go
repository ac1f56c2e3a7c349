package http1

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/textproto"
	"net/url"
	"strings"
)

// A plain request fits Options.Plain, is small, and uses nothing of HTTP/1.1 but a method, a path,
// simple headers and a body of known length. Nearly all requests of clients are plain, and they
// are parsed by hand, on the connection's only goroutine. Whatever is not plain, be it unusual or
// wrong, is left to net/http as it came.
type plainRequest struct {
	fits    Plain
	http    http.Request
	url     url.URL
	values  []string // storage for the values of http.Header
	content plainBody
}

// verdict is what the bytes of a connection begin with.
type verdict int

const (
	plain      verdict = iota // a whole plain request
	incomplete                // perhaps the beginning of one
	unusual                   // anything else
)

func newPlainRequest(ctx context.Context, remote string, fits Plain) *plainRequest {
	p := &plainRequest{fits: fits}
	p.http = *(&http.Request{
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, RemoteAddr: remote, Header: http.Header{},
	}).WithContext(ctx)
	return p
}

// plainBody is the body of a plain request: bytes that are there already.
type plainBody struct{ bytes.Reader }

// Close implements io.Closer.
func (*plainBody) Close() error { return nil }

var endOfHead = []byte("\r\n\r\n")

// parse looks what b begins with. For a plain request it fills p, which shares the body with
// b and is valid until the next parse, and returns how many bytes the request has.
func (p *plainRequest) parse(b []byte) (int, verdict) {
	if !p.fits.couldBegin(b) {
		return 0, unusual
	}
	end := bytes.Index(b, endOfHead)
	if end < 0 {
		return 0, incomplete
	}
	// One string holds the whole head: the values of the headers are cut from it.
	line, rest, _ := strings.Cut(string(b[:end+2]), "\r\n")
	method, target, ok := requestLine(line)
	if !ok || !p.setTarget(method, target) {
		return 0, unusual
	}
	length, ok := p.setHeaders(rest)
	if !ok || length > 0 && method != http.MethodPut && method != http.MethodDelete {
		return 0, unusual
	}
	size := end + len(endOfHead) + length
	if size > plainBytes {
		return 0, unusual
	}
	if size > len(b) {
		return 0, incomplete
	}
	r := &p.http
	r.Method, r.RequestURI, r.URL = method, target, &p.url
	r.ContentLength, r.Body = int64(length), io.ReadCloser(http.NoBody)
	if length > 0 {
		p.content.Reset(b[size-length : size])
		r.Body = &p.content
	}
	return size, plain
}

// couldBegin tells early that a request is not plain, so that nobody waits for its end.
func (p *Plain) couldBegin(b []byte) bool {
	if i := bytes.IndexByte(b, '\n'); i == 0 || i > 0 && b[i-1] != '\r' {
		return false
	}
	for _, begin := range p.Begins {
		n := min(len(b), len(begin))
		if string(b[:n]) == begin[:n] {
			return true
		}
	}
	return false
}

func requestLine(line string) (method, target string, ok bool) {
	method, rest, _ := strings.Cut(line, " ")
	target, version, _ := strings.Cut(rest, " ")
	return method, target, version == "HTTP/1.1"
}

// setTarget takes a request target that fits.
func (p *plainRequest) setTarget(method, target string) bool {
	for i := range len(target) {
		if c := target[i]; c <= ' ' || c >= 0x7f || c == '#' {
			return false
		}
	}
	path, query, _ := strings.Cut(target, "?")
	if !p.fits.Fits(method, path, query) {
		return false
	}
	if strings.IndexByte(path, '%') < 0 {
		p.url = url.URL{Path: path, RawQuery: query}
		return true
	}
	u, err := url.ParseRequestURI(target)
	if err != nil {
		return false
	}
	p.url = *u
	return true
}

// setHeaders takes header lines, each with its line end, and returns the length of the body.
func (p *plainRequest) setHeaders(lines string) (length int, ok bool) {
	h := p.http.Header
	clear(h)
	clear(p.values)
	p.values = p.values[:0]
	p.http.Host = ""
	hasLength := false
	for lines != "" {
		var line string
		line, lines, _ = strings.Cut(lines, "\r\n")
		name, value, _ := strings.Cut(line, ":")
		value = strings.Trim(value, " \t")
		if len(name) == len(line) || !isToken(name) || !isPlainText(value) {
			return 0, false
		}
		switch name = textproto.CanonicalMIMEHeaderKey(name); name {
		case "Host":
			if p.http.Host != "" || !isPlainHost(value) {
				return 0, false
			}
			p.http.Host = value
			continue
		case "Content-Length":
			if hasLength {
				return 0, false
			}
			if length, ok = smallNumber(value); !ok {
				return 0, false
			}
			hasLength = true
		case "Connection":
			if !strings.EqualFold(value, "keep-alive") {
				return 0, false
			}
		case "Transfer-Encoding", "Expect", "Upgrade", "Trailer":
			return 0, false
		}
		if _, twice := h[name]; twice {
			h[name] = append(h[name], value)
			continue
		}
		p.values = append(p.values, value)
		n := len(p.values)
		h[name] = p.values[n-1 : n : n]
	}
	return length, p.http.Host != ""
}

// isToken reports whether s is a header name (RFC 9110, section 5.6.2).
func isToken(s string) bool { return isWord(s, "!#$%&'*+-.^_`|~") }

// isPlainHost is stricter than net/http, which is asked about every other one.
func isPlainHost(s string) bool { return isWord(s, ".:-_[]") }

// isWord reports whether s has only letters, digits and some other characters, and any at all.
func isWord(s, others string) bool {
	for i := range len(s) {
		c := s[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' ||
			strings.IndexByte(others, c) >= 0) {
			return false
		}
	}
	return s != ""
}

func isPlainText(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' || c >= 0x7f {
			return false
		}
	}
	return true
}

// smallNumber reads a length of at most five digits: plainBytes has as many.
func smallNumber(s string) (n int, ok bool) {
	if s == "" || len(s) > 5 {
		return 0, false
	}
	for i := range len(s) {
		c := s[i]
		if c < '0' || c > '9' {
			return 0, false
		}
		n = 10*n + int(c-'0')
	}
	return n, true
}
