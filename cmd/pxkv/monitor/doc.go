// Package monitor makes the monitor thread of the Go runtime nice.
//
// The thread looks for threads that are stuck in system calls, and after each that it finds it wakes up
// every 20 us for a while. A node whose every request is some system calls keeps it at that, and each
// time it takes a CPU from a thread that has work. With the weakest nice value it waits for its turn
// instead. docs/performance.md has the figures.
//
// The runtime has no setting for it, so this package finds the thread by the order in which the kernel
// lists threads, and a test sees that it is the right one. On systems other than Linux Calm does nothing.
//
// Callers: cmd/pxkv, once at the start of a node or of a benchmark.
package monitor
