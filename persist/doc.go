// Package persist is what survives a crash: one log a node with the entries and the promises of
// all its replicas, one fsync for all of them, and one Pebble with their data.
//
// Nouns: DB (the store of one node); Identity (who the node is); Replica (one replica's log
// and bookkeeping, a raft.Storage); Batch (the log writes of one turn, one fsync); Apply (the
// effects of committed entries); Applied (how far the state machine has come); Record (a
// value as stored); View (a consistent read of one partition); SnapshotReader and Staged (a
// partition on its way out and in).
//
// Effects wait in a write-behind buffer for each partition before they go to Pebble; reads look
// into both.
//
// Callers: node/replica (logs, effects, snapshots), node (reads, identity), cmd/pxkv (Open).
//
// The caller's duties, in order:
//
//  1. Open, then Identity, then Replicas. Each replica comes checked; what does not fit
//     together is an error of Open, for a node whose disk lies must not vote.
//  2. In each turn fill at most one Batch. Filling it changes the Replica's view in memory at
//     once: the view may lead the disk, and never lags.
//  3. Commit the batches in the order in which they were made. Only after Commit has returned
//     may a promise (a vote, an append acknowledgement) leave the node.
//  4. Commit an Apply only after the Batch with the entries that it applies. It needs no
//     fsync: what a crash takes of it is applied again, from the log, which keeps each entry
//     until its effects are flushed.
//  5. Commit a replica's outstanding Apply before a Batch that installs or destroys it.
//  6. Close every View, SnapshotReader and Staged before Close.
//
// A Replica, a Batch while it is filled, and an Apply belong to one goroutine. Everything on
// DB is safe from any goroutine.
//
// It must not decide anything: no clock but for metrics, no network, no policy. When the disk
// cannot be trusted any more it calls Options.Fatal, which does not return.
//
// What a crash may leave: the log as it was after one of the batches between the last synced
// one and the last one written, whole; and of each replica the effects up to some index, whole,
// at or above the log's beginning. Everything else that is found at Open is corruption.
//
// The log decides: what it says about Pebble (a replica was created or destroyed, a snapshot
// installed) and what a crash took of that is done again by the next Open (load.go). The files
// of the log are package wal's. Pebble alone does not promise what is needed of its own files;
// orderedfs.go says what is added, and why.
//
// FORMAT.md documents every byte that this package writes.
package persist
