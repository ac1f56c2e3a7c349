package node

import (
	"pxkv/node/entry"
	"pxkv/node/kv"
	"pxkv/node/meta"
	"pxkv/node/replica"
	"pxkv/node/rpc"
	"pxkv/persist/data"
)

// The kinds of request that nodes make of each other. Never reuse a number: nodes of older versions refuse what they
// do not know.
const (
	reqWrite   = 1               // one encoded kv.Command -> kv.Result
	reqRead    = 2               // a key and its options -> kv.ReadResult
	reqScan    = 3               // a page of one partition -> items
	reqMeta    = 4               // a command for the meta group -> its result
	reqLeading = rpc.KindLeading // 5: nothing -> the partitions that the asked node leads
	reqSteps   = 6               // reads and log entries of several partitions -> what became of each
	reqCount   = 7               // a partition and a slot -> how many keys there are
	reqWalk    = 8               // a position in one partition -> the next keys by position
	reqVia     = rpc.KindVia     // 9: a request for a third node -> its answer
	reqWitness = 10              // a member that is to be replaced -> what the asked node knows of it
	// reqReads is as reqSteps, which older nodes know, but reads of parts of values only.
	reqReads   = 11
	reqForming = 12 // what a fresh node says of itself -> what the asked node does
	reqReport  = 13 // nothing -> what the asked node says of the groups that it leads
	// reqFarewell is of a node in memory that has ended; nodes of older versions refuse it, and wait for silence.
	reqFarewell = 14 // nothing -> nothing
	reqOrder    = 15 // what an operator wishes for a member -> what became of that
	reqSelf     = 16 // nothing -> what the asked node says of itself
)

// kinds is what this node answers, beside what package rpc does.
var kinds = rpc.KindsOf[*Node](
	&writeMethod,
	&readMethod,
	&pageMethod,
	&walkMethod,
	&countMethod,
	&stepsMethod,
	&partsMethod,
	&introduceMethod,
	&witnessMethod,
	&greetMethod,
	&reportMethod,
	&farewellMethod,
	&orderMethod,
	&selfMethod,
)

// Repeatable reports whether requests of a kind change nothing: without an answer they can be made
// again.
func Repeatable(kind uint8) bool { return kinds.Repeatable(kind) }

// Formats are all in which nodes speak to each other, as a node tells of them that packs values, or none, and whose
// cluster has a version, 0 when it is in none yet. Their order is part of the handshake: never change it, append.
func Formats(packs bool, cluster int) []kv.Format {
	return []kv.Format{
		replica.FrameFormat,
		{Name: "requests", Writes: rpc.Version},
		entry.Format(packs),
		{Name: "commands of the meta group", Writes: uint8(max(cluster, 1)), Oldest: 1, Newest: meta.CommandVersion},
		replica.SnapshotHeaderFormat,
		data.StreamFormat,
	}
}
