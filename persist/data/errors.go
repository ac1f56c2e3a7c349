package data

import (
	"errors"
	"fmt"

	"pxkv/node/kv"
	"pxkv/node/pack"
)

// ErrNoReplica is returned when the partition has no replica here.
var ErrNoReplica = errors.New("no replica of the partition here")

// ErrStopped is returned by Visit when it was asked not to go on.
var ErrStopped = errors.New("stopped by the caller")

// ErrSnapshotStream is returned by StageSnapshot for a stream that is cut short, altered, or
// of another format version. Nothing of it stays.
var ErrSnapshotStream = errors.New("bad snapshot stream")

// ErrNoRoom is returned by StageSnapshot when the disk has too little room for the snapshot.
// Nothing of it stays. The sender hears it as kv.NoRoom, which it wraps.
var ErrNoRoom = fmt.Errorf("staging of a snapshot would use the last room on the disk: %w", kv.NoRoom)

// ErrDamagedValue is the error of a read, or of Apply.Unpack, that meets a value which does not unpack. What is around
// it is whole.
var ErrDamagedValue = pack.ErrDamaged
