package main

import (
	"fmt"
	"strconv"
	"time"
)

// lifetime is the value of a flag or argument that says how long a key lives: seconds, as in the
// API (30, 0.5), or a Go duration (500ms, 24h).
type lifetime struct{ time.Duration }

// Set implements pflag.Value.
func (l *lifetime) Set(text string) error {
	d, err := time.ParseDuration(text)
	if err != nil {
		seconds, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return fmt.Errorf("%q is neither seconds nor a duration (30, 0.5, 90s, 24h)", text)
		}
		d = time.Duration(seconds * float64(time.Second))
	}
	if d < time.Millisecond {
		return fmt.Errorf("%q: a key lives at least 1ms", text)
	}
	l.Duration = d
	return nil
}

// String implements pflag.Value.
func (l *lifetime) String() string {
	if l.Duration == 0 {
		return ""
	}
	return l.Duration.String()
}

// Type implements pflag.Value.
func (*lifetime) Type() string { return "seconds|duration" }
