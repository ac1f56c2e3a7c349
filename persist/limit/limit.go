// Package limit fills in the limits of a store: what is 0 takes its default, what cannot be is named, and a
// small disk makes some of them smaller.
//
// Callers: packages raftlog and data.
//
// It knows no limit: what each is for, and its default, is its store's to say.
package limit

import (
	"errors"
	"fmt"
)

// Check gathers what is wrong with limits, so that one start tells of all.
type Check struct {
	Light bool // the second default counts
	errs  []error
}

// Fill gives a limit that is 0 its default.
func (c *Check) Fill(name string, v *int64, def, lightDef int64) {
	switch {
	case *v < 0:
		c.errs = append(c.errs, fmt.Errorf("limit %s is %d: it must be positive, or 0 for its default", name, *v))
	case *v == 0 && c.Light:
		*v = lightDef
	case *v == 0:
		*v = def
	}
}

// Err names everything that cannot be.
func (c *Check) Err() error { return errors.Join(c.errs...) }

// Fit makes a limit no larger than a share of a disk of total bytes, but at least least.
func Fit(v *int64, total, share uint64, least int64) {
	*v = min(*v, max(int64(total/share), least))
}
