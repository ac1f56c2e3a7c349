package kv

// Format is one of the encodings in which nodes speak to each other. Each node writes one version of
// it and may read more; versions begin with 1.
type Format struct {
	Name   string // in the plural, as it stands in messages
	Writes uint8
	Oldest uint8 // the oldest that this node reads; 0: what it writes
	Newest uint8 // the newest that this node reads; 0: what it writes
}

// Reads reports whether this node reads a version.
func (f Format) Reads(version uint8) bool { return version >= f.oldest() && version <= f.newest() }

// Range returns the versions that this node reads.
func (f Format) Range() (oldest, newest uint8) { return f.oldest(), f.newest() }

func (f Format) oldest() uint8 {
	if f.Oldest == 0 {
		return f.Writes
	}
	return f.Oldest
}

func (f Format) newest() uint8 { return max(f.Newest, f.Writes) }
