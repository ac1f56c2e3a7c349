package peer

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"pxkv/node/kv"
)

func pair(b *testing.B, h2 Handler) (*node, *node) {
	var addrs book
	n1 := start(b, &addrs, 1, &testHandler{})
	n2 := start(b, &addrs, 2, h2)
	if _, err := n1.call(context.Background(), 2, 1, nil); err != nil {
		b.Fatal(err)
	}
	return n1, n2
}

// BenchmarkCall is the latency of one forwarded request on an idle link.
func BenchmarkCall(b *testing.B) {
	n1, _ := pair(b, &testHandler{})
	payload := make([]byte, 64)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := n1.call(context.Background(), 2, 1, payload); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkCallParallel is the throughput of one link with so many callers, each of which
// has one request in flight.
func BenchmarkCallParallel(b *testing.B) {
	for _, callers := range []int{64, 512} {
		b.Run(fmt.Sprint(callers), func(b *testing.B) {
			n1, n2 := pair(b, &testHandler{})
			before := n1.writes(2) + n2.writes(1)
			payload := make([]byte, 64)
			var left atomic.Int64
			left.Store(int64(b.N))
			b.ReportAllocs()
			b.ResetTimer()
			var wg sync.WaitGroup
			for range callers {
				wg.Go(func() {
					for left.Add(-1) >= 0 {
						if _, err := n1.call(context.Background(), 2, 1, payload); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "req/s")
			b.ReportMetric(float64(n1.writes(2)+n2.writes(1)-before)/float64(b.N), "writes/op")
		})
	}
}

func (n *node) writes(peer kv.NodeID) uint64 {
	return (*n.peers.Load())[peer].traffic.writes.Load()
}

// BenchmarkSendFrames is a loop that sends 16 frames of 256 bytes a turn.
func BenchmarkSendFrames(b *testing.B) {
	var got atomic.Int64
	room := make(chan struct{}, 64)
	n1, _ := pair(b, &testHandler{frame: func(Remote, []byte) {
		if got.Add(1)%16 == 0 {
			<-room
		}
	}})
	before := n1.writes(2)
	b.ReportAllocs()
	b.SetBytes(16 * 256)
	for b.Loop() {
		room <- struct{}{}
		for range 16 {
			if !n1.Send(2, make([]byte, 256)) {
				b.Fatal("dropped")
			}
		}
	}
	b.ReportMetric(float64(n1.writes(2)-before)/float64(b.N), "writes/op")
}

// BenchmarkSnapshot is a snapshot of 2 MiB, from the connection to the verdict. cpu-ns is what all threads used.
func BenchmarkSnapshot(b *testing.B) {
	n1, _ := pair(b, &testHandler{})
	content := randomBytes(2 << 20)
	b.SetBytes(int64(len(content)))
	b.ReportAllocs()
	before := processorTime()
	for b.Loop() {
		if err := n1.SendSnapshot(context.Background(), 2, nil, writeAll(content)); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(processorTime()-before)/float64(b.N), "cpu-ns/op")
}

func processorTime() int64 {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return u.Utime.Nano() + u.Stime.Nano()
}
