// Package disktest has the disks that tests of stores need: one that fails, one that hangs, one that is full.
//
// Callers: tests of packages persist and data.
package disktest

import (
	"errors"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// LastWords runs f and returns what Fatal was called with, "" if it was not.
func LastWords(f func()) (text string) {
	defer func() {
		if p := recover(); p != nil {
			text = p.(lastWord).text
		}
	}()
	f()
	return ""
}

// lastWord is the panic of Fatal.
type lastWord struct{ text string }

// Fatal is for a disk whose last words are asked for.
func Fatal(text string) { panic(lastWord{text}) }

// ErrDisk is what a failing disk says.
var ErrDisk = errors.New("input/output error")

// Failing fails the chosen operations from the moment that it is armed.
func Failing(fails func(errorfs.Op) bool) (vfs.FS, *atomic.Bool) {
	armed := new(atomic.Bool)
	return errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if armed.Load() && fails(op) {
			return ErrDisk
		}
		return nil
	})), armed
}
