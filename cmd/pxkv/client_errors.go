package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"

	"pxkv/node/kv"
)

// headerPartition is where a node says which partition answered. A 404 without it is about the path.
const headerPartition = "X-Pxkv-Partition"

// connectionError explains why there is no answer. maybeDone says that a write may have
// reached the node, so that its outcome is unknown.
func (c *client) connectionError(err error, maybeDone bool, r *request) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err
	}
	if maybeDone {
		return failure(exitUnknown,
			"outcome unknown: the write was sent to %s, but %s. It may or may not have been applied: %s",
			c.base, c.whatHappened(err), r.advice())
	}
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("%s refuses connections: is pxkv serve running there? Name another node with --server or %s",
			c.base, serverEnv)
	case isNoSuchHost(err):
		return fmt.Errorf("the host name in %s is not known: check --server or %s", c.base, serverEnv)
	case errors.Is(err, errSilence):
		return fmt.Errorf("%s: %s. The node may be overloaded or cut off from the others: see pxkv status, try "+
			"another --server, or a longer --timeout", c.base, c.whatHappened(err))
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("interrupted while asking %s", c.base)
	}
	return fmt.Errorf(
		"no answer from %s: %w; is that the HTTP address of a pxkv node? Name another with --server or %s", c.base, err,
		serverEnv)
}

// whatHappened tells an error that may have come after the request was sent, as half a
// sentence.
func (c *client) whatHappened(err error) string {
	switch {
	case errors.Is(err, errSilence):
		return fmt.Sprintf("nothing came back for %v", c.timeout)
	case errors.Is(err, context.Canceled):
		return "the command was interrupted before the answer came"
	}
	return fmt.Sprintf("the connection broke before the answer came (%v)", err)
}

func isNoSuchHost(err error) bool {
	e, ok := errors.AsType[*net.DNSError](err)
	return ok && e.IsNotFound
}

// statusError explains an answer that is not 2xx.
func (c *client) statusError(r *request, resp *http.Response) error {
	text, code := readError(resp)
	switch {
	case resp.StatusCode == http.StatusNotFound && resp.Header.Get(headerPartition) != "":
		return failure(exitNotFound, "key not found (asked %s)", c.base)
	case resp.StatusCode == http.StatusNotFound:
		return fmt.Errorf("%s does not know %s (%s): is this the HTTP address of a pxkv node?", c.base, r.path, text)
	case resp.StatusCode == http.StatusPreconditionFailed:
		return newConditionError(resp)
	case r.isWrite() && isUnknown(resp.StatusCode, code):
		return failure(exitUnknown,
			"outcome unknown, says %s (%s). The write may or may not have been applied: %s", c.base, text, r.advice())
	case resp.StatusCode == http.StatusServiceUnavailable:
		return &unavailableError{server: c.base.String(), text: text, after: resp.Header.Get("Retry-After")}
	case resp.StatusCode >= 300 && resp.StatusCode <= 399:
		return fmt.Errorf("%s answers with a redirect to %q: is this the HTTP address of a pxkv node?", c.base,
			resp.Header.Get("Location"))
	}
	return &answerError{server: c.base.String(), status: resp.StatusCode, text: text}
}

// answerError is an answer that says no more than its text does.
type answerError struct {
	server string
	status int
	text   string // what the node said
}

// Error implements error.
func (e *answerError) Error() string {
	return fmt.Sprintf("%s answers %d: %s", e.server, e.status, e.text)
}

// unavailableError is a 503: certainly not done, for now.
type unavailableError struct {
	server string
	text   string // what the node said
	after  string // seconds after which to try again, as the node said; may be empty
}

// Error implements error.
func (e *unavailableError) Error() string {
	again := ""
	if e.after != "" {
		again = fmt.Sprintf(" It is safe to try again, in %s s.", e.after)
	}
	return fmt.Sprintf("%s is unavailable, nothing was done: %s.%s See pxkv status", e.server,
		strings.TrimSuffix(e.text, "."), again)
}

// conditionError is a 412: the key is not as the request wanted it.
type conditionError struct {
	version uint64 // of the key, 0 when it does not exist
}

func newConditionError(resp *http.Response) *conditionError {
	version := parseETag(resp.Header.Get("Etag"))
	return &conditionError{version}
}

// Error implements error.
func (e *conditionError) Error() string {
	if e.version == 0 {
		return "condition not met, nothing was changed: the key does not exist"
	}
	return fmt.Sprintf("condition not met, nothing was changed: the key is at version %d", e.version)
}

// isUnknown reports whether a write may have been applied although its answer is an error:
// the node says so, or it (or a proxy before it) broke while working on the request.
// 507, a full disk, is certain.
func isUnknown(status int, code string) bool {
	return code == kv.Unknown.String() ||
		status >= 500 && status != http.StatusServiceUnavailable && status != http.StatusInsufficientStorage
}

// readError returns the text and short code of an error answer. An answer that is not an
// error as nodes write them is shown by its beginning.
func readError(resp *http.Response) (text, code string) {
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxErrorBytes))
	var answer struct {
		Error string `json:"error"`
		Code  string `json:"code"`
	}
	if json.Unmarshal(body, &answer) == nil && answer.Error != "" {
		return answer.Error, answer.Code
	}
	const shown = 200
	text = strings.ToValidUTF8(string(body[:min(len(body), shown)]), "?")
	if text = strings.Join(strings.Fields(text), " "); text == "" {
		text = http.StatusText(resp.StatusCode)
		if err != nil {
			text += ", and the answer broke off"
		}
	}
	return text, ""
}
