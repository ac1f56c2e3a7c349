// Package persist is what survives a crash: one Pebble a node that holds the Raft logs and
// the data of all its replicas, one WAL and one fsync for all of them.
//
// Nouns: DB (the store of one node); Identity (who the node is); Replica (one replica's log
// and bookkeeping, a raft.Storage); Batch (the log writes of one turn, one fsync); Apply (the
// effects of committed entries); Applied (how far the state machine has come); Record (a
// value as stored); View (a consistent read of one partition); SnapshotReader and Staged (a
// partition on its way out and in).
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
//     fsync: the log stands before it in the same WAL, so what is lost is applied again.
//  5. Commit a replica's outstanding Apply before a Batch that installs or destroys it.
//  6. Close every View, SnapshotReader and Staged before Close.
//
// A Replica, a Batch while it is filled, and an Apply belong to one goroutine. Everything on
// DB is safe from any goroutine.
//
// It must not decide anything: no clock but for metrics, no network, no policy. When the disk
// cannot be trusted any more it calls Options.Fatal, which does not return.
//
// What a crash may leave: the store as it was after one of the batches between the last
// synced one and the last one written, whole. Everything else that is found at Open is
// corruption. Pebble alone does not promise that much; wal_check.go and orderedfs.go say what
// is added, and why.
//
// FORMAT.md documents every byte that this package writes.
package persist
