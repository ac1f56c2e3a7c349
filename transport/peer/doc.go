// Package peer carries bytes between nodes: raft frames, forwarded requests with their
// answers, and snapshot streams. It knows who is at the other end, and nothing of what
// the bytes mean.
//
// Nouns. A peer is another node, named by its kv.NodeID. A link is one TCP connection
// with a peer; it is symmetric: both directions carry frames, requests and responses,
// whoever dialed. A call is a request of ours that waits for its response. A snapshot
// has a connection of its own, so that bulk data never delays a heartbeat.
//
// Callers: the composition root builds a Transport; node uses Send, Go and
// SendSnapshot, and is the Handler. The caller's duties, in order:
//
//  1. New, which starts nothing; then Listen, so that Addr is known; then Run, which
//     returns when every goroutine has ended. Before and after Run everything is
//     refused with ErrNotSent.
//  2. Handler methods run on a reader goroutine and must not block. Gather what arrives
//     and submit it in BatchEnd.
//  3. Every HandleRequest is answered with exactly one call of reply.
//  4. A call that ended in ErrLost may have been done. Only ErrNotSent is safe to repeat.
//
// How it stays cheap. Frames, requests and responses are queued under one mutex per
// peer, and each link has one writer goroutine, which is woken once, takes all that is
// queued, and writes it with one system call; what arrives meanwhile waits for its next
// turn. The reader decodes all that one read brought before it wakes anybody: the
// writer is not disturbed while replies are being produced. Calls live in a table of
// reused slots, their time limits cost one timer for the whole transport, and liveness
// costs no time limit for each read: a ticker looks whether a counter moved.
//
// What bounds memory: the outgoing queue of a peer (Options.QueueBytes), the calls in
// flight (Options.MaxInFlight), the length of a payload (Options.MaxPayload, allocated
// only as its bytes arrive), inbound connections and snapshots. Frames are dropped
// when the queue is full, which raft tolerates; requests fail with ErrNotSent. Requests and answers
// count in the node's budget (Options.Budget) too, frames do not.
//
// The package must not import node, decide who is a member (Options.Admit does), retry
// a request, or look into a payload. PROTOCOL.md documents every byte on the wire.
package peer
