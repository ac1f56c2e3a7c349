// Package resp serves Redis clients: RESP2 and RESP3 over TCP. The section on
// the Redis protocol in docs/api.md is its contract: which commands there are, and where they
// differ from those of Redis 7.0.
//
// Nouns: Server (the listener and its life), Service (the few methods of a node that it
// calls), conn (the connection of one client), session (what the client has said that holds for its later
// commands), command (a row of the one table of commands, with the function that carries it out),
// handler (takes a client's commands one after the other), pipeline (those that arrived together, the
// operations that they need and their answers), settle (carry all of them out and write the
// replies), failure (an error as a client sees it).
//
// A new command is a row in commands.go, a function in the file of its group, a row in docs/api.md and
// tests.
//
// Callers: only cmd/pxkv/server, which gives a Service, calls Listen and then Run, and ends Run's
// context to stop.
//
// It must not import the node, decide where a key lives, or retry a write. What a client can
// make it hold is bounded by Options.
//
// Three rules run through the package:
//
//   - A command adds operations to the pipeline and says how their answers become its reply.
//     It does not wait. Commands that cannot be said so (flag alone) are carried out after
//     everything before them was settled.
//   - Arguments alias the input buffer, which is not filled again before the pipeline was
//     settled. What must live longer (transactions, names, the slow log) is copied.
//   - A write ends as done, certainly not done (-CLUSTERDOWN, -OOM, -ERR) or unknown
//     (-UNKNOWN). Whatever is not known to be one of the others is answered as unknown.
package resp
