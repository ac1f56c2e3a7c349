//go:build bug_formats_not_compared

package peer

// formatsNotCompared lets nodes connect that cannot read what the other one writes.
const formatsNotCompared = true
