package replica

import (
	"bytes"
	"fmt"
	"testing"

	"pxkv/node/entry"
	"pxkv/node/kv"
)

// BenchmarkPuts is all that three nodes do for a put, but for sockets and disks: 16 of them share a turn.
func BenchmarkPuts(b *testing.B) {
	c := newTrio(&testing.T{})
	c.elect()
	value := kv.Value{Kind: kv.Binary, Data: bytes.Repeat([]byte{'v'}, 256)}
	var commands [][]byte
	for i := range 1000 {
		cmd := kv.Command{Op: kv.OpPut, Key: fmt.Appendf(nil, "key-%d", i), Value: value}
		commands = append(commands, cmd.AppendTo(nil))
	}
	done := 0
	b.ReportAllocs()
	b.ResetTimer()
	for i := 0; i < b.N; i += 16 {
		for j := range 16 {
			c.nodes[1].in.Ops = append(c.nodes[1].in.Ops,
				Op{Command: commands[(i+j)%len(commands)], Reply: func(r entry.Reply) {
					if r.Err == nil {
						done++
					}
				}})
		}
		c.settle()
	}
	if done < b.N {
		b.Fatalf("%d of %d puts were done", done, b.N)
	}
}
