package kv

import (
	"errors"
	"fmt"
)

// ErrorKind tells what an error means for the caller; it survives the wire. The list is
// the list of ways in which a request can end without a Result.
type ErrorKind uint8

const (
	// Invalid: the request is wrong and will never succeed as it is. Nothing was written.
	Invalid ErrorKind = 1
	// TooLarge: a key, value or body is over its limit. Nothing was written.
	TooLarge ErrorKind = 2
	// Unavailable: certainly not done, for now: no leader, no quorum, overload, shutdown
	// before the command was proposed. A retry is safe.
	Unavailable ErrorKind = 3
	// NotLeader: certainly not done: this node does not lead the partition. Error.Leader may
	// name who does. Seen between nodes only; routing turns it into a retry or Unavailable.
	NotLeader ErrorKind = 4
	// Unknown: the command was handed to replication and its outcome was not learned. It may
	// yet be applied. Never retried by a node.
	Unknown ErrorKind = 5
	// Full: the node's disk has no room for writes. Nothing was written.
	Full ErrorKind = 6
	// Internal: a bug or a broken disk. Reads only; a write with this fate is Unknown.
	Internal ErrorKind = 7
	// Overloaded: certainly not done: this node holds too many bytes for others. A retry is safe, but
	// not at once. It does not travel between nodes.
	Overloaded ErrorKind = 8

	errorKindLimit ErrorKind = 9
)

var kindNames = [...]string{
	"", "invalid", "too_large", "unavailable", "not_leader", "unknown", "full", "internal", "overloaded",
}

// String returns the short code of the kind, as in the "code" member of HTTP errors.
func (k ErrorKind) String() string {
	if k == 0 || k >= errorKindLimit {
		return "internal"
	}
	return kindNames[k]
}

// Error is the error of every operation on keys. Compare with KindOf, not by text.
type Error struct {
	Kind   ErrorKind
	Text   string // for people: what was tried, on what, and what to do
	Leader NodeID // for NotLeader: who leads, as far as known; 0 is unknown
}

// Error implements error.
func (e *Error) Error() string { return e.Text }

// Errorf makes an Error with a formatted text.
func Errorf(kind ErrorKind, format string, args ...any) *Error {
	return &Error{Kind: kind, Text: fmt.Sprintf(format, args...)}
}

// ErrUnknown is the error of a write whose outcome was not learned.
func ErrUnknown() *Error { return &Error{Kind: Unknown, Text: "Outcome unknown"} }

// KindOf returns the kind of the first Error in err's chain, Internal for other errors,
// and 0 for nil.
func KindOf(err error) ErrorKind {
	if err == nil {
		return 0
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return Internal
}

// ErrorOf returns the first Error in err's chain, one of kind Internal for other errors, and nil for nil.
func ErrorOf(err error) *Error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return Errorf(Internal, "%v", err)
}
