package load

import (
	"fmt"
	"math/rand/v2"
)

// KeyPrefix begins every key that a measurement writes.
const KeyPrefix = "bench-"

// keyText returns key number i. It needs no escaping in URLs or JSON.
func keyText(i int) string { return fmt.Sprintf(KeyPrefix+"%08d", i) }

// draw chooses keys, operations and values for one connection, repeatably.
type draw struct {
	rng         *rand.Rand
	zipf        *rand.Zipf // nil for uniform
	keys        int
	readPercent int
}

const zipfExponent = 1.1

// newDraw returns the draw of connection number conn.
func newDraw(c *Config, conn int) *draw {
	d := &draw{rng: rand.New(rand.NewPCG(c.Seed, uint64(conn))), keys: c.Keys}
	if c.Dist == Zipf {
		d.zipf = rand.NewZipf(d.rng, zipfExponent, 1, uint64(c.Keys-1))
	}
	switch c.Mode {
	case Get:
		d.readPercent = 100
	case Mix:
		d.readPercent = c.ReadPercent
	}
	return d
}

func (d *draw) key() int {
	if d.zipf != nil {
		return int(d.zipf.Uint64())
	}
	return d.rng.IntN(d.keys)
}

func (d *draw) isRead() bool {
	switch d.readPercent {
	case 0:
		return false
	case 100:
		return true
	}
	return d.rng.IntN(100) < d.readPercent
}

func (d *draw) variant() int { return d.rng.IntN(1 << 16) }

// maxVariantBytes bounds the memory for different values.
const maxVariantBytes = 16 << 20

// newValues makes up to 16 different values of size bytes: random letters and digits, so
// that they need no escaping in JSON and do not compress to nothing.
func newValues(seed uint64, size int) [][]byte {
	const alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_"
	rng := rand.New(rand.NewPCG(seed, 1<<63))
	n := 16
	if size > 0 {
		n = min(n, max(1, maxVariantBytes/size))
	}
	values := make([][]byte, n)
	for i := range values {
		v := make([]byte, size)
		for j := range v {
			v[j] = alphabet[rng.IntN(len(alphabet))]
		}
		values[i] = v
	}
	return values
}
