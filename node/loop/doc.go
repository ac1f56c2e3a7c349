// Package loop drives the replicas of a node in a real process: it gathers what arrives between two turns of a
// replica.Host, takes the turns, commits the jobs, and lets leave what leaves.
//
// Nouns: Loop, inbox (what waits for the next turn), relief (another goroutine that takes the turns over from a
// commit that hangs), Sender (carries bytes to other nodes).
//
// Callers: cmd/pxkv/server builds one and runs it; node and node/rpc ask it. In order:
//
//  1. New, with a Host that has taken no turn yet. It starts nothing.
//  2. Run, in a goroutine. Whatever is asked before waits for it.
//  3. Write, Read, Do, Deliver and the others, from any goroutine. A Reply comes once, on the goroutine of the
//     turns, and must not block.
//  4. End the context of Run. When Run has returned, all that waited is answered, and no goroutine is left; what
//     is asked from then on is refused, certainly not done.
//
// A disk may hang in any call, and nobody knows it beforehand: nothing but the job that waits for it may wait. What
// the duties towards a Host are, and why, package replica says; this one decides nothing that is replicated. It
// must not import transport or node.
package loop
