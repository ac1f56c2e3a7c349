package persist

import "errors"

// ErrLocked is returned by Open when another process (or another DB of this one) uses the directory. Its
// other errors are codec.ErrFormat and codec.ErrCorrupt.
var ErrLocked = errors.New("data directory is in use")
