// Package rpc is how nodes ask each other, and answer: one request, one answer, over whatever carries them
// (Peers). It finds the leader of a partition, or another way to a node; it tries again what was certainly not
// done, and never what may have been; it counts an answer where it arrives; and it hands what other nodes ask to
// who answers it. It knows no operation on keys: those are Methods of package node.
//
// Nouns: Method (one thing that nodes ask: its kind on the wire, its request, its answer, and what answers it
// here), Client (asks: routes, ways, attempts), Target (the leader of one partition, while it is looked for),
// Request (one request under way), Place (leave for one long answer), Future (where one waits for what comes
// once), Server (answers), Reply (where one answer goes).
//
// Callers: package node declares its Methods in a table of Kinds, and builds a Client and a Server. Method.Ask
// answers here or asks the leader, wherever that is. Who has several partitions to ask at once sends Requests,
// keeps a Target for each, and pauses between rounds by Pauses.
//
// Duties of who declares a Method, in order:
//
//  1. Decode checks everything: another node may send anything.
//  2. Here and Answer end a request in one of three ways: an answer; an error whose kind says that it was certainly
//     not done; or kv.Unknown. What ends otherwise would be tried again wrongly.
//  3. Repeatable is true only of what changes nothing.
//  4. Answer runs on the goroutine that reads the other node's link: it must not wait. What has to wait runs in
//     Server.Go, which a stopping node waits for.
//
// It must not import package node, nor transport.
package rpc
