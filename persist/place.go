package persist

import "github.com/cockroachdb/pebble/v2/vfs"

// Place tells the file of the identity from every copy of it: no copy, restore or transfer of
// files gives the new file the birth of the old one. Only what copies a whole volume does.
type Place struct {
	Inode uint64 `json:"inode"`
	Born  int64  `json:"born"` // nanoseconds since 1970; 0: the file system does not tell
}

// differs reports whether q is certainly another file. A file system that tells no birth proves
// nothing.
func (p Place) differs(q Place) bool { return p.Born != 0 && q.Born != 0 && p.Born != q.Born }

// place asks where a file is, zero when nobody knows.
func (db *DB) place(f vfs.File) Place {
	if db.opts.Place != nil {
		return db.opts.Place(f)
	}
	return placeOf(f)
}
