package kv

import (
	"context"
	"math"
	"sync"
	"sync/atomic"
)

// Budget bounds the bytes that a node holds for others at one time: what they have sent and is not
// carried out yet, and answers that they have not taken. One is shared by all doors. Nobody waits for
// it: what finds no room is refused, so whoever holds a part never waits for another.
//
// The messages of Raft are not in it. They have bounds of their own, and clients must not keep
// replicas from each other.
//
// Not all may use all of it. What is longer than small finds room only up to a share of its owner,
// so that those who hold much leave room for other nodes, and both for who wants little. What is
// small and of another node is counted and always has room: there are bounds for each node, and
// a cluster must not fall apart because of clients.
type Budget struct {
	limit   int64
	held    atomic.Int64
	refused atomic.Uint64
}

// Owner is on whose behalf bytes are held.
type Owner uint8

// The owners, and how many eighths of a budget may be held when they want more than a little.
const (
	OfClients Owner = 6
	OfPeers   Owner = 7
)

// What is small, and what is not worth counting: about what an idle connection has anyway. With a
// budget of a test both are smaller.
const (
	smallHolding = 64 << 10
	freeHolding  = 4 << 10
)

// NewBudget returns a Budget of so many bytes, which must be positive.
func NewBudget(limit int64) *Budget { return &Budget{limit: limit} }

// Limit returns how many bytes may be held.
func (b *Budget) Limit() int64 { return b.limit }

// Held returns how many bytes are held.
func (b *Budget) Held() int64 { return b.held.Load() }

// Refused returns how often there was no room.
func (b *Budget) Refused() uint64 { return b.refused.Load() }

func (b *Budget) small() int64 { return min(smallHolding, b.limit/64) }
func (b *Budget) free() int64  { return min(freeHolding, b.limit/1024) }

// Take counts n bytes and reports whether there is room for them. Give must follow then.
func (b *Budget) Take(n int, o Owner) bool { return b.take(int64(n), int64(n), o) }

// take counts n bytes for something that has whole bytes with them.
func (b *Budget) take(n, whole int64, o Owner) bool {
	most, small := b.limit, whole <= b.small()
	if !small {
		most = b.limit / 8 * int64(o)
	}
	if small && o == OfPeers {
		b.held.Add(n)
		return true
	}
	// What is refused is never in it, not even for a moment: others would be refused for it.
	for {
		held := b.held.Load()
		if held+n > most {
			b.refused.Add(1)
			return false
		}
		if b.held.CompareAndSwap(held, held+n) {
			return true
		}
	}
}

// Force counts n bytes that must be held whether there is room or not.
func (b *Budget) Force(n int) { b.held.Add(int64(n)) }

// Give counts n bytes out that Take or Force counted.
func (b *Budget) Give(n int) {
	if n != 0 {
		b.held.Add(-int64(n))
	}
}

// Account is what one request, or one connection, holds of a Budget. The zero value, and nil, count
// nothing until Open. It is safe for use by many goroutines.
type Account struct {
	mu      sync.Mutex
	budget  *Budget
	owner   Owner
	held    int64
	charged int64 // of held, counted in budget
	closed  bool
}

// Open begins to count in a budget. It is called before the Account is used.
func (a *Account) Open(b *Budget, o Owner) { a.budget, a.owner = b, o }

// Take counts n bytes and reports whether there is room for them.
func (a *Account) Take(n int) bool {
	if a == nil || a.budget == nil {
		return true
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	held := a.held + int64(n)
	switch {
	case a.closed:
		return false
	case held <= a.budget.free():
	case !a.budget.take(held-a.charged, held, a.owner):
		return false
	default:
		a.charged = held
	}
	a.held = held
	return true
}

// TakeSome counts up to n bytes, at least so many: less when there is little room. It returns how
// many, 0 when there is none.
func (a *Account) TakeSome(n, least int) int {
	least = min(n, least)
	for ; n > least; n /= 4 {
		if a.Take(n) {
			return n
		}
	}
	if a.Take(least) {
		return least
	}
	return 0
}

// Force counts n bytes that must be held whether there is room or not.
func (a *Account) Force(n int) {
	if a == nil || a.budget == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return
	}
	a.held += int64(n)
	a.budget.Force(int(a.held - a.charged))
	a.charged = a.held
}

// Room returns how much more may be held for the account's owner when it is not little.
func (a *Account) Room() int64 {
	if a == nil || a.budget == nil {
		return math.MaxInt64
	}
	return a.budget.limit/8*int64(a.owner) - a.budget.Held()
}

// MoveTo counts n of the bytes that a holds on another account instead. It reports false when a
// holds fewer.
func (a *Account) MoveTo(b *Account, n int) bool {
	if a.Held() < n {
		return false
	}
	b.Force(n)
	a.Give(n)
	return true
}

// Give counts n bytes out.
func (a *Account) Give(n int) {
	if a == nil || a.budget == nil || n == 0 {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.shrink(a.held - int64(n))
}

// GiveAll counts out what is held.
func (a *Account) GiveAll() {
	if a == nil || a.budget == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.shrink(0)
}

// Close counts out what is held and takes no more: what arrives late is nobody's.
func (a *Account) Close() {
	if a == nil || a.budget == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.shrink(0)
	a.closed = true
}

// Held returns how many bytes are held.
func (a *Account) Held() int {
	if a == nil {
		return 0
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return int(a.held)
}

// shrink makes held smaller. a.mu is held.
func (a *Account) shrink(held int64) {
	if a.closed { // and nothing is held
		return
	}
	a.held = held
	charged := held
	if held <= a.budget.free() {
		charged = 0
	}
	if charged < a.charged {
		a.budget.Give(int(a.charged - charged))
		a.charged = charged
	}
}

// ErrOverloaded is the error of what found no room in a Budget. It was not done, and is not tried
// again here.
func ErrOverloaded() *Error {
	return &Error{Kind: Overloaded, Text: "This node holds too many bytes for its clients at the moment: retry"}
}

type accountKey struct{}

// WithAccount returns a context that carries an account. A Deadline has one of its own.
func WithAccount(ctx context.Context, a *Account) context.Context {
	return context.WithValue(ctx, accountKey{}, a)
}

// AccountOf returns the account on which a request holds its bytes; nil, which counts nothing,
// when there is none.
func AccountOf(ctx context.Context) *Account {
	if d, ok := ctx.(*Deadline); ok && d.Account != nil {
		return d.Account
	}
	a, _ := ctx.Value(accountKey{}).(*Account)
	return a
}
