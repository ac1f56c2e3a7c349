package transfer

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"
)

// Store takes writes.
type Store interface {
	// Batch carries out operations, the body of POST /batch, and returns the answer. An error that says how the call
	// ended is a *Failure; after any other it makes no sense to go on. Several goroutines call it.
	Batch(ctx context.Context, body []byte) ([]byte, error)
	// Put writes one pair raw, as PUT /kv/{key} does. present says that nothing was written since the key is there, and
	// ifAbsent was asked for. The error is as of Batch.
	Put(ctx context.Context, e *Entry, ifAbsent bool) (present bool, err error)
}

// Ending is how a call failed.
type Ending int

const (
	// NotDone is that certainly nothing was done; later it may be.
	NotDone Ending = iota + 1
	// Unknown is that it may or may not have been done.
	Unknown
	// Refused is that nothing was done, since something is wrong with the request.
	Refused
)

// Failure is a call that failed.
type Failure struct {
	Ending Ending
	Err    error
}

// Error implements error.
func (f *Failure) Error() string { return f.Err.Error() }

// Unwrap gives errors.Is the cause.
func (f *Failure) Unwrap() error { return f.Err }

// sender carries out one batch, whatever it takes.
type sender struct {
	store    Store
	retryFor time.Duration
	pause    time.Duration
	fault    func(*Fault)
	stop     <-chan struct{} // nothing is tried again after it
}

// send returns what became of the operations. What was certainly not done is sent again until it is, with pauses, as
// long as something gets done within retryFor; and so is what may have been done: the same put twice is the same as
// once, and with a condition the second finds the key there.
func (s *sender) send(ctx context.Context, b *batch) (counts Counts, err error) {
	todo, pause := b.ops, s.pause
	for since := time.Now(); ; {
		left, err := s.try(ctx, b, todo, &counts)
		if len(left) == 0 {
			return counts, nil
		}
		if f, ok := errors.AsType[*Failure](err); !ok || f.Ending == Refused {
			return counts, err
		}
		if len(left) < len(todo) {
			since, pause = time.Now(), s.pause
		}
		todo = left
		if time.Since(since)+pause > s.retryFor {
			return counts, err
		}
		select {
		case <-s.stop:
			return counts, err
		case <-time.After(pause/2 + rand.N(pause/2)):
			pause = min(2*pause, 100*s.pause)
		}
	}
}

// try sends operations once, and returns those that must be sent again, in order, and why.
func (s *sender) try(ctx context.Context, b *batch, ops []operation, counts *Counts) ([]operation, error) {
	if ops[0].raw != nil {
		return s.putRaw(ctx, ops[0], counts)
	}
	answer, err := s.store.Batch(ctx, b.body(ops))
	if f, ok := errors.AsType[*Failure](err); ok && f.Ending == Refused {
		return s.divide(ctx, b, ops, counts, f)
	}
	if err != nil {
		return ops, err
	}
	results, err := parseResults(answer, len(ops))
	if err != nil {
		return ops, &Failure{Unknown, err} // it was not refused, so it may be done
	}
	return s.settle(ops, results, counts)
}

// divide finds out which of the operations are refused, by sending them in two halves.
func (s *sender) divide(ctx context.Context, b *batch, ops []operation, counts *Counts, f *Failure) (
	left []operation, err error,
) {
	if len(ops) == 1 {
		counts.Bad++
		s.fault(&Fault{Place: ops[0].at, Why: f.Error()})
		return nil, nil
	}
	for _, half := range [][]operation{ops[:len(ops)/2], ops[len(ops)/2:]} {
		again, failed := s.try(ctx, b, half, counts)
		left = append(left, again...)
		err = worse(err, failed)
	}
	return left, err
}

// settle counts the results, and returns the operations that must be sent again.
func (s *sender) settle(ops []operation, results []result, counts *Counts) (left []operation, err error) {
	for i, r := range results {
		switch {
		case r.Status == http.StatusOK:
			counts.Imported++
		case r.Status == http.StatusPreconditionFailed:
			counts.Present++
		case r.Status == http.StatusServiceUnavailable || r.Status == http.StatusInsufficientStorage:
			left = append(left, ops[i])
			err = worse(err, &Failure{NotDone, fmt.Errorf("a node answers %d: %s", r.Status, r.Error)})
		case r.Status >= http.StatusInternalServerError:
			left = append(left, ops[i])
			err = worse(err, &Failure{Unknown, fmt.Errorf("a node answers %d: %s", r.Status, r.Error)})
		default:
			counts.Bad++
			s.fault(&Fault{Place: ops[i].at, Why: fmt.Sprintf("a node answers %d: %s", r.Status, r.Error)})
		}
	}
	return left, err
}

// worse returns the error of which less is known: after which nothing can be tried, else an unknown outcome.
func worse(a, b error) error {
	rank := func(err error) int {
		if err == nil {
			return 0
		}
		f, ok := errors.AsType[*Failure](err)
		switch {
		case !ok:
			return 3
		case f.Ending == Unknown:
			return 2
		}
		return 1
	}
	if rank(b) > rank(a) {
		return b
	}
	return a
}
