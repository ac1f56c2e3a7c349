package node

import (
	"strings"
	"testing"
	"time"

	"pxkv/node/kv"
	"pxkv/node/rpc"
)

// pair is a cluster of two nodes with one copy of each partition: what the one leads it does itself, and what
// the other leads it asks for.
func pair(b *testing.B) (a, other *server, here, there string) {
	b.Helper()
	c, servers := of(b, 2, replicas(1), partitions(4))
	a, other = servers[0], servers[1]
	here, there = tag(b, a), tag(b, other)
	value := strings.Repeat("v", 100)
	for _, key := range []string{here, there} {
		for _, s := range c.running() {
			s.write(put(key, value))
			if s.get(key) != value {
				b.Fatal("read another value")
			}
		}
	}
	return a, other, here, there
}

func BenchmarkWrite(b *testing.B) {
	a, _, here, there := pair(b)
	for name, key := range map[string]string{"here": here, "forwarded": there} {
		b.Run(name, func(b *testing.B) {
			cmd := put(key, strings.Repeat("v", 100))
			ctx := within(b, patience)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := a.node.Write(ctx, cmd); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkRead(b *testing.B) {
	a, _, here, there := pair(b)
	for name, key := range map[string]string{"here": here, "forwarded": there} {
		for kind, part := range map[string]kv.Part{"whole": {}, "length": {Kind: kv.NoValue}} {
			b.Run(name+"/"+kind, func(b *testing.B) {
				ctx, key := within(b, patience), []byte(key)
				b.ReportAllocs()
				for b.Loop() {
					if _, err := a.node.Read(ctx, key, kv.ReadOptions{Part: part}); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

func BenchmarkBatchOfReads(b *testing.B) {
	a, _, here, there := pair(b)
	for name, key := range map[string]string{"here": here, "forwarded": there} {
		b.Run(name, func(b *testing.B) {
			ctx, cmds := within(b, patience), make([]kv.Command, 16)
			for i := range cmds {
				cmds[i] = kv.Command{Op: kv.OpRead, Key: []byte(key)}
			}
			b.ReportAllocs()
			for b.Loop() {
				if a.node.Batch(ctx, cmds)[15].Err != nil {
					b.Fatal("not read")
				}
			}
		})
	}
}

// What another node is answered, on the goroutine of its link.
func BenchmarkAnswer(b *testing.B) {
	a, other, here, _ := pair(b)
	for name, r := range map[string]struct {
		kind    uint8
		payload []byte
	}{
		"write": {reqWrite, put(here, strings.Repeat("v", 100)).AppendTo([]byte{rpc.Version})},
		"read":  {reqRead, readRequestOf([]byte(here), kv.ReadOptions{}, 0)},
		"small": {reqRead, readRequestOf([]byte(here), kv.ReadOptions{}, 1000)},
		"steps": {reqSteps, encodeSteps(reqSteps, []*step{
			{partition: a.node.Owner([]byte(here)).Partition, keys: []wanted{{key: []byte(here)}}},
		})},
	} {
		b.Run(name, func(b *testing.B) {
			done := make(chan error, 1)
			reply := func(_ []byte, err error) { done <- err }
			deadline := time.Now().Add(patience)
			b.ReportAllocs()
			for b.Loop() {
				a.node.HandleRequest(other.id(), r.kind, deadline, r.payload, reply)
				if err := <-done; err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
