// Package wiretest is what the tests of the servers in transport share: a client in raw bytes, which can
// say what no library would, waiting for what comes soon, and the load of their benchmarks.
//
// Callers: tests only, those of deploy/alternatives among them. It imports nothing of this module.
package wiretest
