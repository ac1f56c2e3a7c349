package http1

import (
	"bytes"
	"fmt"
	"strconv"
)

// Refusal makes the body of an answer that no handler gives, and its Content-Type: of what is no request
// (400, 417, 431, 501, 505), and of one connection too many (503). The text says what is wrong.
type Refusal func(status int, text string) (contentType string, body []byte)

// plainText is the Refusal of who gives none.
func plainText(_ int, text string) (contentType string, body []byte) {
	return "text/plain; charset=utf-8", []byte(text)
}

// answer makes a whole answer, after which the connection ends, out of the status line and what it says.
// Each of more's headers has its line end.
func (r Refusal) answer(line, more string, status int, text string) []byte {
	contentType, body := r(status, text)
	return fmt.Appendf(nil, "%s\r\nContent-Type: %s\r\n%sConnection: close\r\nContent-Length: %d\r\n\r\n%s",
		line, contentType, more, len(body), body)
}

// serverErrorHeaders is what net/http writes, in one piece and past any handler, when a
// request is not HTTP that it can parse.
var serverErrorHeaders = []byte("\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n")

// expectationFailed is how net/http's answer to an unknown Expect header begins, which has no body.
var expectationFailed = []byte("HTTP/1.1 417 Expectation Failed")

// ofServerError returns net/http's own plain text error as a refusal, or nil when p is anything else.
func (r Refusal) ofServerError(p []byte) []byte {
	if len(p) > 1024 || !bytes.HasPrefix(p, []byte("HTTP/1.1 4")) && !bytes.HasPrefix(p, []byte("HTTP/1.1 5")) {
		return nil
	}
	head, text, found := bytes.Cut(p, serverErrorHeaders)
	if bytes.HasPrefix(p, expectationFailed) {
		head, text, found = expectationFailed, []byte(`Only "Expect: 100-continue" is understood`), true
	}
	if !found || bytes.Contains(head, []byte("\r\n")) {
		return nil
	}
	status, err := strconv.Atoi(string(p[len("HTTP/1.1 "):len("HTTP/1.1 400")]))
	if err != nil {
		return nil
	}
	return r.answer(string(head), "", status, string(text))
}
