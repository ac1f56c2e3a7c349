// Package load measures key-value servers over HTTP: a closed loop, in which every
// connection has one request in flight and sends the next when the answer has been read.
//
// The same engine and the same connections drive pxkv, etcd's JSON gateway and a bare
// handler, so that their ratios compare the servers and not the clients. It shares the machine
// with the servers it measures, so it is kept cheap: one goroutine a connection writes requests
// from templates and reads the answers, nothing is parsed twice, and every connection counts for
// itself.
//
// Nouns: Config (what to send), Target (what is at the other end), requester (makes requests), conn
// (one HTTP/1.1 connection), worker (a conn and what it counted), phase (prepare, warm up, measure), Histogram, Result.
//
// Callers: package main of cmd/pxkv. It must not import any other package of this module,
// and must not print: what it learns is in the Result.
package load
