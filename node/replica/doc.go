// Package replica runs the Raft groups of one node.
//
// A Host owns every replica of the node and is a pure step: Turn takes the time and what
// has arrived (a tick, messages, commands, reads, finished disk writes) and gives back what
// must leave (frames for peers, snapshots to send) and what must reach the disk (a Job).
// It has no clock, goroutine, socket or randomness of its own, so that a simulation can
// replay it exactly. node/loop drives one Host in a real process; node/sim drives many by hand.
//
// The driver's duties, in this order, are what makes an acknowledged write durable:
//
//  1. Call Turn with a time read after the input was taken from its queue, at most one tick
//     a turn and never a tick to catch up for lost ones.
//  2. Send Output.Frames at once: they promise nothing that is not yet on disk.
//  3. When no Job is under way, take the next from TakeJob, and Commit it. Jobs are
//     committed one after the other, in the order in which they were taken.
//  4. Only after Commit returned: send Job.Frames (votes and append acknowledgements), then
//     give the Job back to Turn as finished.
//  5. A Turn that returns an error has met a broken invariant or disk: stop the node.
//
// Nouns: Host, Turn, Job, Op (a write on its way), ReadOp, Message, Frame, Handle (what
// other goroutines may know of a replica), StateMachine (what committed entries do; node/machine and node/meta
// are two).
//
// Callers: node/loop and node/sim; node and node/local read what Handles tell. This package must not import
// transport or node, must not know what commands do, look at a clock, wait for anybody, or start a goroutine.
package replica
