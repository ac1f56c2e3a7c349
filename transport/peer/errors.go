package peer

import (
	"errors"

	"pxkv/node/kv"
)

// How a call ends when the peer's handler gave no answer. Compare with errors.Is: the
// errors that callers see wrap these with the circumstances.
var (
	// ErrNotSent: the request was certainly not processed: it never left this process, or
	// the peer said so, or the peer cannot have received all of it. Safe to retry anywhere.
	ErrNotSent = errors.New("request not sent")
	// ErrLost: the request was written, or may have been, and no answer came before the
	// connection broke or the time limit passed. Its outcome is unknown.
	ErrLost = errors.New("no answer to the request, outcome unknown")
)

// Unreachable reports whether a call ended in ErrNotSent because there is no connection with the peer.
// Other causes are of this process, or the peer is there and busy.
func Unreachable(err error) bool {
	return errors.Is(err, errUnreachable) || errors.Is(err, errDialFailed) || errors.Is(err, errBrokenEarly) ||
		errors.Is(err, errQuiet)
}

// Silent reports whether a call ended because nothing comes from the peer, though nobody says that no process is
// there: it stands still, or the network between is cut.
func Silent(err error) bool { return errors.Is(err, errQuiet) || errors.Is(err, errLate) }

// NoRoom reports whether a call ended in ErrNotSent because the peer had no room for its answer.
func NoRoom(err error) bool { return errors.Is(err, errDroppedHere) }

// RemoteError is an error that the peer's handler answered with.
type RemoteError struct {
	Text string // as the remote error's Error method gave it, at most 4 KiB
	// Refusal is why a snapshot is not taken; 0 where there is no such reason. errors.AsType finds it.
	Refusal kv.Refusal
}

// Error implements error.
func (e *RemoteError) Error() string { return e.Text }

// Unwrap returns the Refusal, if there is one.
func (e *RemoteError) Unwrap() error {
	if e.Refusal == 0 {
		return nil
	}
	return e.Refusal
}

// causedError is one of the sentinels above with its circumstances. Unlike fmt.Errorf it
// can be made once and shared by all calls that end for the same cause.
type causedError struct {
	sentinel error
	cause    string
}

func (e *causedError) Error() string { return e.sentinel.Error() + ": " + e.cause }
func (e *causedError) Unwrap() error { return e.sentinel }

func notSent(cause string) error { return &causedError{ErrNotSent, cause} }
func lost(cause string) error    { return &causedError{ErrLost, cause} }

var (
	errStopped     = notSent("the transport is not running")
	errSelf        = notSent("the request is addressed to this node itself")
	errQueueFull   = notSent("the queue to the peer is full")
	errTooMany     = notSent("too many requests to the peer are in flight")
	errTooLarge    = notSent("the request is larger than the largest message")
	errUnreachable = notSent("the peer is not reachable, and the next attempt to dial is not due")
	errQuiet       = notSent("the peer has fallen silent")
	errExpired     = notSent("the time limit passed before the request could be written")
	errRefusedHere = notSent("the peer refused to process the request")
	errDroppedHere = notSent("the peer has no room for the answer")
	errDialFailed  = notSent("the peer could not be reached")
	errStopping    = notSent("the transport stopped before the request was written")
	errBrokenEarly = notSent("the connection broke before the request was written")

	errLate    = lost("the time limit passed")
	errBroken  = lost("the connection broke")
	errDropped = lost("the peer did not keep the answer")
)
