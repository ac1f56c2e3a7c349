//go:build processes

package processes

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
)

// longest is the lowest limit of values that a Redis can have.
const longest = 1 << 20

// TestRedisValuesNearTheLimitAreAnsweredAsByRedis gives random commands on few keys to a Redis and to a node
// that have the same limit of values, most of them about values that end at it.
func TestRedisValuesNearTheLimitAreAnsweredAsByRedis(t *testing.T) {
	seed := redisSeed(t)
	sameThroughAnyNode(t, func(t *testing.T, address string, passedOn uint64) {
		redis := startRedis(t, "--proto-max-bulk-len", strconv.Itoa(longest))
		sameRandomCommands(t, newLongDice(seed, passedOn), 600, 12, redis, address)
		tooLong := fmt.Sprintf("*3\r\n$3\r\nSET\r\n$1\r\na\r\n$%d\r\n", longest+1)
		if want, got := conversation(t, redis, tooLong), conversation(t, address, tooLong); want != got {
			t.Errorf("a value of a byte too much: Redis answers %q, we answer %q", want, got)
		}
	}, flags("--max-value-bytes", strconv.Itoa(longest)))
}

// longDice draws commands about values of which many are as long as they may be, or a byte less, and that
// would often grow by a byte too much.
type longDice struct {
	*dice
	text string // no two places of it look alike
	left int    // commands of the transaction under way: Redis has no limit of what one returns
}

func newLongDice(seed, series uint64) *longDice {
	d := &longDice{dice: &dice{Rand: rand.New(rand.NewPCG(seed+series, 3))}}
	var b strings.Builder
	for i := 0; b.Len() < longest+1000; i++ {
		fmt.Fprintf(&b, "at%dis", i)
	}
	d.text = b.String()
	return d
}

// length draws one that is legal.
func (d *longDice) length() int {
	return [...]int{
		0, 1, 2, 100, 5000, longest / 2, longest/2 + 1, longest - 100, longest - 1, longest, longest, d.IntN(longest),
	}[d.IntN(12)]
}

func (d *longDice) value() string {
	if d.IntN(6) == 0 {
		return d.float()
	}
	from := d.IntN(1000)
	return d.text[from : from+d.length()]
}

// piece is what makes a value grow beyond the limit, or just not.
func (d *longDice) piece() string { return d.text[:[...]int{0, 1, 1, 2, 100, d.length()}[d.IntN(6)]] }

// offset is one around both ends of long and short values.
func (d *longDice) offset() string {
	at := [...]int{
		0, 1, 100, longest / 2, longest - 100, longest - 1, longest, longest + 1, 2 * longest, d.IntN(longest),
	}[d.IntN(10)]
	return strconv.Itoa(at)
}

// bound is an end of a range.
func (d *longDice) bound() string {
	if at := d.offset(); d.IntN(3) == 0 {
		return "-" + at
	} else {
		return at
	}
}

// some draws a command, or two that belong together.
func (d *longDice) some() [][]string {
	if d.left--; d.multi && d.left <= 0 {
		d.multi = false
		return [][]string{{d.of("EXEC", "EXEC", "EXEC", "DISCARD")}}
	}
	one := func(words ...string) [][]string { return [][]string{words} }
	switch d.IntN(26) {
	case 0, 1, 2:
		return one("SET", d.key(), d.value())
	case 3:
		return one("SET", d.key(), d.value(), d.of("GET", "NX", "XX"))
	case 4, 5, 6:
		return one("APPEND", d.key(), d.piece())
	case 7, 8, 9:
		return one("SETRANGE", d.key(), d.offset(), d.piece())
	case 10, 11:
		return one(d.of("GETRANGE", "SUBSTR"), d.key(), d.bound(), d.bound())
	case 12, 13:
		return one("STRLEN", d.key())
	case 14:
		return one("GETDEL", d.key())
	case 15:
		return one("GETSET", d.key(), d.value())
	case 16:
		return one(append([]string{"GETEX", d.key()}, d.expiry()...)...)
	case 17:
		return one("INCRBYFLOAT", d.key(), d.float())
	case 18:
		return one(d.of("INCR", "DECR"), d.key())
	case 19:
		if key := d.key(); !d.multi {
			return one("MGET", d.key(), key, key)
		}
		return one("GET", d.key())
	case 20:
		key := d.key()
		return one(d.of("EXISTS", "TOUCH", "DEL"), key, d.key(), key, key)
	case 21:
		return one("GET", d.key())
	case 22:
		return one("MSET", d.key(), d.value(), d.key(), d.value())
	case 23:
		return one(d.of("RENAME", "RENAMENX"), d.tagged(), d.tagged())
	case 24:
		if d.multi {
			return one(d.of("TYPE", "TTL"), d.key())
		}
		d.multi, d.left = true, 2+d.IntN(6)
		return one("MULTI")
	}
	return one(d.of("TYPE", "TTL", "PERSIST"), d.key())
}
