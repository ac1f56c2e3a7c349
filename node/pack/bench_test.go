//go:build unix

package pack

import (
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"pxkv/node/kv"
)

// document makes JSON text of about so many bytes, as services write it: names again and again, and values that are
// not. It packs to about a quarter.
func document(size int) []byte {
	rng := rand.New(rand.NewPCG(1, uint64(size)))
	b := []byte(`{"orders":[`)
	for len(b) < size-120 {
		b = fmt.Appendf(b, `{"id":%d,"customer":"c-%x","status":"%s","total":%d.%02d,"paid":%t},`, rng.IntN(1_000_000),
			rng.Uint32(), []string{"open", "shipped", "returned"}[rng.IntN(3)], rng.IntN(500), rng.IntN(100),
			rng.IntN(2) == 0)
	}
	return append(b[:len(b)-1], `]}`...)
}

func noise(size int) []byte {
	b := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}

// processorTime is what the process has had of processors so far: on a busy machine it tells more than the clock.
func processorTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // it does not fail with these arguments
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// reportProcessor tells how many megabytes of plain data a second of a processor did.
func reportProcessor(b *testing.B, bytes int, began time.Duration) {
	if spent := processorTime() - began; spent > 0 {
		b.ReportMetric(float64(bytes)*float64(b.N)/1e6/spent.Seconds(), "MB/cpu-s")
	}
}

var benchSizes = []int{512, 4 << 10, 64 << 10, 1 << 20}

func BenchmarkPack(b *testing.B) {
	for _, by := range algorithms {
		for what, data := range map[string]func(int) []byte{"json": document, "noise": noise} {
			for _, size := range benchSizes {
				b.Run(fmt.Sprintf("%v/%s/%d", by, what, size), func(b *testing.B) {
					p, v := NewPacker(by, 0), kv.Value{Kind: kv.JSON, Data: data(size)}
					b.SetBytes(int64(len(v.Data)))
					b.ReportAllocs()
					p.Pack(v)
					began := processorTime()
					for b.Loop() {
						p.Pack(v)
					}
					reportProcessor(b, len(v.Data), began)
					b.ReportMetric(float64(p.After.Load())/float64(p.Before.Load()), "after/before")
				})
			}
		}
	}
}

func BenchmarkUnpack(b *testing.B) {
	for _, by := range algorithms {
		for _, size := range benchSizes {
			b.Run(fmt.Sprintf("%v/json/%d", by, size), func(b *testing.B) {
				v := NewPacker(by, 0).Pack(kv.Value{Kind: kv.JSON, Data: document(size)})
				u := NewUnpacker(1)
				b.SetBytes(int64(v.Plain))
				b.ReportAllocs()
				began := processorTime()
				for b.Loop() {
					if _, err := u.Unpack(&v); err != nil {
						b.Fatal(err)
					}
				}
				reportProcessor(b, v.Plain, began)
			})
		}
	}
}
