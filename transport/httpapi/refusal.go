package httpapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"pxkv/node/kv"
	"pxkv/transport/jsontext"
)

// refusal is an error as a client sees it.
type refusal struct {
	status int
	text   string
	code   string // short code; the texts of the original API have none
	allow  string // for 405: the Allow header
}

// Error implements error.
func (r *refusal) Error() string { return r.text }

// appendJSON appends the error's JSON object to dst.
func (r *refusal) appendJSON(dst []byte) []byte {
	dst = append(dst, `{"error":`...)
	dst = jsontext.AppendString(dst, r.text)
	if r.code != "" {
		dst = append(dst, `,"code":`...)
		dst = jsontext.AppendString(dst, r.code)
	}
	return append(dst, '}')
}

// The answers that clients of the original API compare byte by byte. They have no code.
var (
	errKeyNotFound       = &refusal{status: http.StatusNotFound, text: "Key not found"}
	errInvalidJSON       = &refusal{status: http.StatusBadRequest, text: "Invalid JSON"}
	errMissingKeyOrValue = &refusal{status: http.StatusBadRequest, text: "Missing key or value"}
	errMissingKey        = &refusal{status: http.StatusBadRequest, text: "Missing key"}
	errInvalidPath       = &refusal{status: http.StatusNotFound, text: "Invalid path"}
)

var (
	errUnknownOutcome = &refusal{status: http.StatusGatewayTimeout, text: "Outcome unknown", code: "unknown"}
	errNotInTime      = &refusal{status: http.StatusServiceUnavailable,
		text: "No answer in time: retry, or give a longer timeout=", code: "unavailable"}
	errOverloaded = &refusal{
		status: http.StatusServiceUnavailable, text: kv.ErrOverloaded().Text, code: kv.Overloaded.String(),
	}
	errCondition = &refusal{status: http.StatusPreconditionFailed, text: "Condition not met", code: "condition"}
	errCrossSite = &refusal{status: http.StatusForbidden,
		text: "A page of another site has sent this request: it is not carried out", code: "cross_site"}
	errSlowBody = &refusal{
		status: http.StatusRequestTimeout, text: "The body was not received in time", code: "timeout",
	}
	errBrokenBody = &refusal{status: http.StatusBadRequest, text: "The body ended early", code: "invalid"}
	errInternal   = &refusal{status: http.StatusInternalServerError, text: "Internal error", code: "internal"}
)

// refusalOfHTTP is the body of what is refused before it is a request.
func refusalOfHTTP(status int, text string) (contentType string, body []byte) {
	r := refusal{text: text, code: "bad_request"}
	switch status {
	case http.StatusExpectationFailed:
		r.code = "not_supported"
	case http.StatusRequestHeaderFieldsTooLarge:
		r.code = "headers_too_large"
	case http.StatusServiceUnavailable:
		r.code = "too_many_clients"
	}
	return typeJSON[0], r.appendJSON(nil)
}

// invalid makes a 400 for a request that will never succeed as it is.
func invalid(format string, args ...any) *refusal {
	return &refusal{status: http.StatusBadRequest, text: fmt.Sprintf(format, args...), code: "invalid"}
}

// notSupported makes a 400 for a part of the request that this version cannot honour and
// that must not be ignored.
func notSupported(format string, args ...any) *refusal {
	return &refusal{status: http.StatusBadRequest,
		text: fmt.Sprintf(format, args...) + " is not supported by this version", code: "not_supported"}
}

func tooLarge(what string, limit int) *refusal {
	return &refusal{status: http.StatusRequestEntityTooLarge,
		text: fmt.Sprintf("%s is larger than the limit of %d bytes", what, limit), code: "too_large"}
}

var statusOfKind = map[kv.ErrorKind]int{
	kv.Invalid:     http.StatusBadRequest,
	kv.TooLarge:    http.StatusRequestEntityTooLarge,
	kv.Unavailable: http.StatusServiceUnavailable,
	kv.NotLeader:   http.StatusServiceUnavailable,
	kv.Full:        http.StatusInsufficientStorage,
	kv.Internal:    http.StatusInternalServerError,
	kv.Overloaded:  http.StatusServiceUnavailable,
}

// refusalOf turns any error into what the client sees. After a write was handed to the
// service, an error that does not say that nothing was written means that nobody knows.
func refusalOf(err error, writing bool) *refusal {
	if r, ok := errors.AsType[*refusal](err); ok {
		return r
	}
	e, isKV := errors.AsType[*kv.Error](err)
	switch {
	case isKV && e.Kind == kv.Unknown, writing && (!isKV || statusOfKind[e.Kind] == 0 || e.Kind == kv.Internal):
		return errUnknownOutcome
	case isKV && statusOfKind[e.Kind] != 0:
		return &refusal{status: statusOfKind[e.Kind], text: e.Text, code: e.Kind.String()}
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return errNotInTime
	}
	return errInternal
}
