package sim

import (
	"math/rand/v2"

	"pxkv/node/entry"
	"pxkv/node/kv"
	"pxkv/node/pack"
	"pxkv/node/replica"
)

// Compression is how the nodes of a run pack values: each by what it was told at its last start.
type Compression struct {
	Compress  bool
	PackLeast int // how long a value is at least that is packed
}

// drawCompression lets a quarter of the runs pack, and write more values that become shorter by it.
func (o *Options) drawCompression() {
	r := rand.New(rand.NewPCG(o.Seed, 21))
	if r.IntN(4) > 0 {
		return
	}
	o.Compression = Compression{Compress: true, PackLeast: 1 + r.IntN(2*pack.DefaultLeast)}
	o.Large = max(o.Large, 0.2)
	o.LargeBits = max(o.LargeBits, 12)
}

// packing is what the nodes of a run pack with.
type packing struct {
	rng     *rand.Rand
	packers []*pack.Packer // by kv.Packing
}

// draw tells a node that starts how to pack.
func (p *packing) draw(o *Options) *pack.Packer {
	if !o.Compress {
		return nil
	}
	if p.rng == nil {
		p.rng = rand.New(rand.NewPCG(o.Seed, 22))
		for _, by := range []kv.Packing{kv.NotPacked, kv.Zlib, kv.Zstd} {
			p.packers = append(p.packers, pack.NewPacker(by, o.PackLeast))
		}
	}
	return p.packers[p.rng.IntN(len(p.packers))]
}

// proposal makes an op of commands as package node does: what becomes shorter is packed.
func (n *node) proposal(p kv.PartitionID, tx *kv.Transaction, alone bool, reply func(entry.Reply)) replica.Op {
	op := replica.Op{Partition: p, Reply: reply}
	for i := range tx.Commands {
		if c := &tx.Commands[i]; c.Op == kv.OpPut {
			c.Value = n.packer.Pack(c.Value)
		}
	}
	if op.Packs = tx.Packs(); op.Packs {
		n.w.stats.Packed++
	}
	if alone {
		op.Command = tx.Commands[0].AppendTo(nil)
	} else {
		op.Command = tx.AppendTo(nil)
	}
	return op
}
