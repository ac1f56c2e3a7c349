// Package http1 is connections and HTTP/1.1: it hands requests to an http.Handler and takes their answers.
// What the requests are about it does not know.
//
// Nouns: Server (the listener and its life), plain request (one that is answered here;
// net/http gets the rest), plainServer (who answers those), Limits (what clients can take), Refusal (what is said
// where no handler is asked).
//
// Caller: transport/httpapi, which gives a Handler, calls Listen and then Run, and ends Run's context to
// stop. It must not import that.
//
// What the Handler can rely on:
//
//   - A client that goes away ends the request's context, and one that does not take its answer, or sends its
//     body too slowly, is dropped in time. A body that is too slow ends in os.ErrDeadlineExceeded.
//   - It need not read a body to its end: a client that sends all before it reads gets its answer
//     nevertheless.
//   - With http.ErrAbortHandler it breaks an answer off. Any other panic that it lets out ends the
//     connection, and nothing else.
//   - An answer of up to LongAnswer bytes leaves whole, if the request is plain.
package http1
