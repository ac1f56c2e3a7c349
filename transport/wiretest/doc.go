// Package wiretest is what the tests of the servers in transport share: a client in raw bytes, which can
// say what no library would, and waiting for what comes soon.
//
// Callers: tests only. It imports nothing of this module.
package wiretest
