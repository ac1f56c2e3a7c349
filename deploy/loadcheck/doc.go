// Package loadcheck asks the one question that matters of a running cluster: is every
// write that was acknowledged still there, on every node, whatever happened meanwhile?
//
// Nouns: a Target is a node's HTTP address as the client reaches it. A Load writes
// numbered keys through all targets that answer, at a bounded rate, and reads earlier ones
// back while it goes. A Ledger holds what was acknowledged; Verify reads all of it from
// every node, VerifyOwn from what one node itself has. A Summary counts how the writes ended and how long none was
// acknowledged.
//
// Callers are the tests of deployments. It speaks nothing but the public HTTP interface,
// and it must not be kinder than a client could be: a write is repeated only when it was
// certainly not done (503, or the connection was refused), never when its outcome is
// unknown.
package loadcheck
