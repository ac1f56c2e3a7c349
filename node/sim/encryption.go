package sim

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"time"

	"pxkv/persist/crypt"
)

// Encryption says which nodes encrypt what they write, and how often their keys are rotated.
type Encryption struct {
	// Encrypted has a bit for each place of a node; one that comes there in the place of another is as it was.
	Encrypted uint
	// RotateRate is per second, over the whole cluster; where there are crashes, many rotations end in one.
	RotateRate float64
}

// drawEncryption comes last.
func (o *Options) drawEncryption() {
	r := rand.New(rand.NewPCG(o.Seed, 22))
	if r.IntN(4) > 0 {
		return
	}
	o.Encrypted = []uint{^uint(0), ^uint(0), 1 + uint(r.IntN(255))}[r.IntN(3)]
	if r.IntN(3) > 0 {
		o.RotateRate = 2 * r.Float64()
	}
}

// encrypts reports whether a node does.
func (n *node) encrypts() bool { return n.w.o.Encrypted>>(uint(n.home)%8)&1 == 1 }

// keys are those of a node, as its operator has them: the newest first, and each that there ever was, for a disk may
// be put back.
func (n *node) keys() ([]crypt.Key, error) {
	if !n.encrypts() {
		return nil, nil
	}
	var keys []crypt.Key
	for i := n.w.newKeys[n.home]; i >= 0; i-- {
		var k crypt.Key
		_, _ = n.random(uint64(i)).Read(k[:]) // never fails
		keys = append(keys, k)
	}
	return keys, nil
}

// random is where a node's keys come from. It is not that of the world, which would have each goroutine of Pebble
// change what happens next.
func (n *node) random(stream uint64) *rand.ChaCha8 {
	var seed [32]byte
	for i, v := range []uint64{n.w.o.Seed, uint64(n.home), uint64(n.id), stream} {
		binary.LittleEndian.PutUint64(seed[8*i:], v)
	}
	if stream < 1<<32 { // the operator's keys outlive a node that lost its disk
		clear(seed[16:24])
	}
	return rand.NewChaCha8(seed)
}

// rewritten reports whether one content of a name is another file than the other, which took its name: each has a
// header of its own. A file that is used again has its new one before its name is synced.
func rewritten(was, now []byte) bool {
	const n = crypt.HeaderBytes
	return len(was) >= n && len(now) >= n && crypt.IsHeader(was) && crypt.IsHeader(now) &&
		string(was[:n]) != string(now[:n])
}

// rotateKeys lets an operator rotate the keys of a node, which often dies of something else meanwhile.
func (w *World) rotateKeys(n *node) {
	if !n.up || n.paused > w.now || !n.encrypts() {
		return
	}
	w.stats.Rotations++
	w.note('k', uint64(n.id))
	if w.chance(0.5) {
		if w.newKeys == nil {
			w.newKeys = map[int]int{}
		}
		w.newKeys[n.home] = min(w.newKeys[n.home]+1, 20)
	}
	// Where crashes do not come by themselves, what is checked rests on there being none.
	if w.o.CrashRate > 0 && n.killable() && w.chance(0.4) {
		n.back = w.between(10*time.Millisecond, time.Second)
		n.disk.killAt(1 + w.rng.Int64N(40))
	}
	err := n.io(n.db.RotateKeys)
	switch {
	case n.reap(), err == nil, errors.Is(err, crypt.ErrRotating), n.faults.raised.Load():
	default:
		w.fail("%s: rotate keys: %v", n.name, err)
	}
}
