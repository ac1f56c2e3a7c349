package rpc

import (
	"context"

	"pxkv/node/kv"
)

// LeastRoom is for how many bytes of values there is room at least, when there is little: those of a small value.
const LeastRoom = 16 << 10

// Tally is how an answer is counted on an account: where it arrives, and before the next one is.
type Tally struct {
	Account *kv.Account
	Counted int   // bytes; at first those for which there is room already
	Keep    bool  // it must not be lost, since it tells of what was changed: room or not
	Over    bool  // it was kept although there was no room
	Place   Place // where it travels in; none for what is never long
}

// take counts an answer, which leaves its place. For one that finds no room there is an error of kind Overloaded.
func (t *Tally) take(b []byte, err error) ([]byte, error) {
	defer t.Place.end()
	more := len(b) - t.Counted
	if err != nil || more <= 0 {
		return b, err
	}
	switch {
	case t.Account.Take(more):
	case t.Keep:
		t.Account.Force(more)
		t.Over = true
	default:
		return nil, kv.ErrOverloaded()
	}
	t.Counted += more
	return b, nil
}

// Unanswered is the error of a request that another node did not answer, or whose answer found no
// room. Where there was none over there it is asked for again, unless there is little here as well:
// who holds so much already would be sent ever more.
func (c *Client) Unanswered(ctx context.Context, to kv.NodeID, err error) *kv.Error {
	if c.o.NoRoom != nil && c.o.NoRoom(err) && kv.AccountOf(ctx).Room() < int64(c.o.ValueBytes) {
		return kv.ErrOverloaded()
	}
	if kv.KindOf(err) == kv.Overloaded {
		return kv.ErrorOf(err)
	}
	return kv.Errorf(kv.Unavailable, "node %s did not answer: %v", c.o.Names.Of(to), err)
}
