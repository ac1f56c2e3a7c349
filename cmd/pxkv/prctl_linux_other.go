//go:build linux && !amd64 && !arm64

package main

import "errors"

// prctlOn needs a signal handler in the processor's own language.
func prctlOn(int, uintptr, uintptr) (int, error) { return 0, errors.ErrUnsupported }
