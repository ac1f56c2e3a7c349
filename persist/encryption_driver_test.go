package persist

import (
	"errors"

	"github.com/cockroachdb/pebble/v2/vfs"

	"pxkv/persist/crypt"
	"pxkv/persist/crypt/crypttest"
)

// encrypt lets the driver's disk be encrypted from the beginning. Whatever happens to it, no two bytes that differ
// may be written to the same place under one header.
func (d *driver) encrypt() {
	keys := []crypt.Key{crypt.NewKey()}
	d.keys = func() ([]crypt.Key, error) { return keys, nil }
	d.newKey = func() { keys = append([]crypt.Key{crypt.NewKey()}, keys...) }
	d.watched = new(crypttest.Watch)
	d.t.Cleanup(func() {
		faults, writes := d.watched.Faults()
		for _, fault := range faults {
			d.t.Error(fault)
		}
		if writes < 30 {
			d.t.Errorf("only %d writes were looked at", writes)
		}
	})
}

// watch lies between the encryption and the disk.
func (d *driver) watch(f vfs.FS) vfs.FS {
	if d.watched == nil {
		return f
	}
	return d.watched.Over(f)
}

// rotate does so, often with a new key.
func (d *driver) rotate() {
	if d.rng.IntN(2) == 0 {
		d.newKey()
	}
	if err := d.db.RotateKeys(); !errors.Is(err, crypt.ErrRotating) {
		must(d.t, err)
	}
	if u, _, err := d.db.Encryption(); err == nil && u.Rotations > 0 {
		d.tally.rotations.Add(1)
	}
}
