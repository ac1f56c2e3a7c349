// Package socket takes connections: it listens at an address, accepts, turns away those beyond a limit, and
// waits at the end until none is being served. What is said on a connection it does not know.
//
// Nouns: Listener (an address at which connections are taken), serving (what its owner does with one, on a
// goroutine of its own), place (what a connection counts in MaxConns), refusal (what one without a place is
// told).
//
// Callers: transport/http1, transport/resp and transport/peer. Their duties, in order:
//
//  1. New, which starts nothing; Listen, so that Addr is known and a taken port is reported before anything
//     runs; then Serve, on a goroutine of the caller's.
//  2. A serving that waits for its client looks at Closing after it has set its read deadline: Wake moves
//     all deadlines after Closing is true.
//  3. A serving that hands its connection on says so, and calls Leave when the connection has ended.
//  4. A serving that is to end looks once more (LastLook) whether its client has sent something: to close with unread
//     input resets the connection.
//  5. At the end Farewell or not, Close, then Wake or not, then Wait; and for those that take too long Cut and Wait
//     again.
//
// It imports nothing of this module.
package socket
