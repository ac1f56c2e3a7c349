//go:build tinylimits

package server

import (
	"pxkv/node"
	"pxkv/node/replica"
	"pxkv/persist"
	"pxkv/persist/data"
	"pxkv/persist/raftlog"
	"pxkv/transport/peer"
	"pxkv/transport/resp"
)

// A program with this build tag is for tests. It cuts into pieces all the time, and still answers every
// command of deploy/processes' random ones: what refuses is above what those come to. It needs
// --max-value-bytes 16384.

// longestAnswer is that of a program for users, made small.
const longestAnswer = 1 << 20

// packLeast lets most values of the tests be compressed.
const packLeast = 24

var (
	nodeLimits = node.Limits{
		ValueBytes: 16 << 10, RequestBytes: 300, ReadBytes: 200, UnitBytes: 100, TransactionBytes: 512 << 10,
		BatchBytes: 900,
		PageItems:  2, PageBytes: 50, WalkKeys: 2, WalkBytes: 20,
	}
	replicaLimits = replica.Limits{
		EntryBytes: 200, MessageBytes: 300, FrameBytes: 300, InflightMessages: 3, InflightBytes: 1000,
		CommittedBytes: 200, ReadyRounds: 1,
		ApplyBytes: 300, TouchBytes: 128 << 10, ReadRounds: 1, PurgeKeys: 1, Purges: 1,
	}
	storeLimits = persist.Limits{
		Log:  raftlog.Limits{TailBytes: 500, UnappliedBytes: 1000, MoveBytes: 1000},
		Data: data.Limits{ChunkBytes: 100},
	}
	respLimits = resp.Limits{
		Operations: 100, Waiting: 150, SendAbove: 50, SendPiece: 30, SmallInput: 16, LargeInput: 50,
	}
	peerLimits = peer.Options{QueueBytes: 2 << 20, SnapshotChunk: 100, SnapshotAhead: 1}
)
