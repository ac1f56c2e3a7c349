//go:build !unix

package overlay

import (
	"errors"
	"io"
)

// lock cannot be had here: it would not be known whether a process uses the directory.
func lock(string) (io.Closer, error) { return nil, errors.ErrUnsupported }
