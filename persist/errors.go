package persist

import "errors"

// Errors of Open.
var (
	// ErrLocked: another process (or another DB of this one) uses the directory.
	ErrLocked = errors.New("data directory is in use")
	// ErrFormat: the directory was written by another, usually newer, version of pxkv.
	ErrFormat = errors.New("unknown format version")
	// ErrCorrupt: what is stored does not fit together. The node must not take part in any
	// vote with it: its replicas have to be rebuilt under new ids.
	ErrCorrupt = errors.New("data is corrupt")
)

// ErrClosed is returned by every method after Close.
var ErrClosed = errors.New("store is closed")

// ErrNoReplica is returned when the partition has no replica here.
var ErrNoReplica = errors.New("no replica of the partition here")

// ErrStopped is returned by Count when it was asked not to go on.
var ErrStopped = errors.New("stopped by the caller")

// ErrSnapshotStream is returned by StageSnapshot for a stream that is cut short, altered, or
// of another format version. Nothing of it stays.
var ErrSnapshotStream = errors.New("bad snapshot stream")
