package wal

import "errors"

// Errors of Open and Read.
var (
	// ErrCorrupt: what is stored is not what was written and synced.
	ErrCorrupt = errors.New("log is corrupt")
	// ErrFormat: the log was written by another, usually newer, version of pxkv.
	ErrFormat = errors.New("unknown format version")
)
