// Package httpapi serves clients by HTTP: it turns requests into kv commands
// and reads, and answers into HTTP. docs/api.md is its contract in words, openapi.json the
// same for machines.
//
// Nouns: Server (the routes, and who serves them), Service (the few methods of a node that it
// calls), exchange (one request and its answer), refusal (an error that this package
// decided), query (parsed parameters). Connections are package http1's, JSON is jsontext's.
//
// Callers: only cmd/pxkv/server, which gives a Service, calls Listen and then Run, and ends Run's
// context to stop. Tests use Handler.
//
// It must not import the node, decide where a key lives, or retry a write. It holds no
// data: what a client can make it keep in memory is bounded by Options.Limits,
// Options.MaxValueBytes and Options.Budget.
//
// Three rules run through the package:
//
//   - A request is either understood completely or refused by name. No parameter, header
//     or body member that would change the meaning of a write is ignored.
//   - A write ends as done, certainly not done, or unknown. Once the Service took a write,
//     every failure that does not say that nothing was written is answered as unknown.
//   - A list that breaks after its first byte left ends in a broken connection, never in
//     a short but well-formed object.
package httpapi
