// Package wal is an append-only log in segment files, shared by all that a node has to
// remember before it may promise it. It takes records, which are bytes to it, tells them
// apart after a crash, and reads parts of them again.
//
// Nouns: Log; record (what one Append writes: whole after a crash, or not there); segment (one
// file; the newest takes records, the others are sealed); seal (the mark at a segment's end
// that says that nothing follows).
//
// Caller: package raftlog, which gives the records their meaning.
//
// What a crash may leave: all records up to some point that is not before the last synced one.
// Everything else that Open finds is ErrCorrupt. Each record says which record had been synced
// when it was written, so that a damaged record can be told from one that a power loss cut
// short: see scan.go.
//
// The log is append-only for speed too: a file that has its full length beforehand, and is
// overwritten from front to back, costs one write and one fdatasync a record, with no file
// system journal in between. Segments that are no longer needed are therefore used again.
//
// One goroutine appends. Everything else is safe from any goroutine.
package wal
