package rpc

import (
	"context"
	"fmt"
	"strings"
	"time"

	"pxkv/node/kv"
)

// Target is the leader of a partition, while it is looked for. Only a request that was certainly not done is ever
// made again.
type Target struct {
	Partition kv.PartitionID
	attempt   int
	last      *kv.Error
}

// Next returns whom to ask now. 0: no node is known to hold the partition, which counts as a failure that may pass.
func (c *Client) Next(t *Target) kv.NodeID {
	to := c.route(t.Partition, t.attempt)
	if to == 0 {
		t.attempt++
		t.last = kv.Errorf(kv.Unavailable, "partition %s: no node is known to hold it", t.Partition)
	}
	return to
}

// Failed notes how an attempt failed. It reports whether another may be made: where this node is cut off from all that
// may lead the partition, none is, and the client can ask another node.
func (c *Client) Failed(t *Target, e *kv.Error) (again bool) {
	t.attempt++
	t.last = e
	switch e.Kind {
	case kv.NotLeader:
		c.routes.learn(t.Partition, e.Leader)
		return !c.cutOff(t.Partition)
	case kv.Unavailable:
		return !c.cutOff(t.Partition)
	}
	return unknownTriedAgain && e.Kind == kv.Unknown
}

// Done notes that an attempt did what was asked for.
func (t *Target) Done() { t.attempt = 0 }

// GaveUp is the error of what was tried, perhaps often, and certainly not done; otherwise when nobody was asked.
func (t *Target) GaveUp(otherwise *kv.Error) *kv.Error {
	last := t.last
	if last == nil {
		last = otherwise
	}
	return kv.Errorf(kv.Unavailable, "partition %s cannot be served now: %s", t.Partition, Without(t.Partition, last))
}

// Ended is the error of a request that is not tried again.
func (t *Target) Ended(e *kv.Error) *kv.Error {
	if e.Kind == kv.NotLeader || e.Kind == kv.Unavailable {
		return t.GaveUp(e)
	}
	return e
}

// Without is the text of an error without the partition's name before it, for where that is said anyway.
func Without(p kv.PartitionID, e *kv.Error) string {
	rest, named := strings.CutPrefix(e.Text, fmt.Sprintf("partition %s", p))
	switch {
	case named && strings.HasPrefix(rest, ": "):
		return rest[2:]
	case named && strings.HasPrefix(rest, " "):
		return "it" + rest
	}
	return e.Text
}

// pause between two attempts, doubling up to the longest.
const (
	firstPause   = 2 * time.Millisecond
	longestPause = 64 * time.Millisecond
)

// Pauses are those between the attempts at one request.
type Pauses struct {
	c        *Client
	deadline time.Time
	next     time.Duration
}

// Pauses returns the pauses of a request. ctx has a deadline.
func (c *Client) Pauses(ctx context.Context) Pauses {
	deadline, _ := ctx.Deadline()
	return Pauses{c: c, deadline: deadline, next: firstPause}
}

// Wait lets a pause pass. It reports whether another attempt is to be made: false when time is up, or the node stops.
func (p *Pauses) Wait(ctx context.Context) bool {
	if time.Until(p.deadline) <= p.next || p.c.stop.Load() {
		return false
	}
	timer := time.NewTimer(p.next)
	select {
	case <-timer.C:
	case <-ctx.Done():
		timer.Stop()
		return false
	}
	p.next = min(2*p.next, longestPause)
	p.c.o.Counters.Retries.Inc()
	return true
}

// Try makes attempts at the partition's supposed leader until one returns nil, or an error that says more than that
// the request was certainly not done, or time is up: ctx has a deadline.
func (c *Client) Try(ctx context.Context, p kv.PartitionID, do func(context.Context, kv.NodeID) *kv.Error) error {
	if ctx.Err() != nil {
		return kv.Errorf(kv.Unavailable, "partition %s was not asked: the request's time was over", p)
	}
	t, pauses := Target{Partition: p}, c.Pauses(ctx)
	for {
		if to := c.Next(&t); to != 0 {
			e := do(ctx, to)
			if e == nil {
				return nil
			}
			if !c.Failed(&t, e) {
				return t.Ended(e)
			}
		}
		if !pauses.Wait(ctx) {
			return t.GaveUp(nil)
		}
	}
}
