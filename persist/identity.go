package persist

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"

	"github.com/cockroachdb/pebble/v2/vfs"

	"pxkv/node/kv"
	"pxkv/persist/codec"
	"pxkv/persist/crypt"
	"pxkv/persist/disk"
)

// identityFormat is the version of the whole data directory. A pxkv that meets another one
// does not touch the directory.
//
// Version 1 had no place and no mark of an orderly end. It is read, and written anew as version 2.
const identityFormat = 2

// maxIdentityBytes is far more than any identity has.
const maxIdentityBytes = 64 << 10

// Identity says who the node is. It is kept beside Pebble, as readable JSON, and is written
// a few times in a node's life.
type Identity struct {
	Format      int          `json:"format"` // set by SaveIdentity
	Node        kv.NodeID    `json:"node"`
	Name        string       `json:"name"`
	Cluster     kv.ClusterID `json:"cluster"`
	ClusterName string       `json:"cluster_name"`
	Starts      uint64       `json:"starts"`       // how often the node was started, this time included
	MetaReplica kv.ReplicaID `json:"meta_replica"` // its replica of the meta group; 0 is none yet
	// Stopped says that the process ended in order after this was written: the directory has
	// made no promise since. Each start takes it away before anything else.
	Stopped bool `json:"stopped,omitzero"`
	// Left says that the node has left its cluster, as it was asked to: it never starts on this directory again.
	Left bool `json:"left,omitzero"`
	// Place is where this file was written, set by SaveIdentity.
	Place Place `json:"place,omitzero"`
	// Elsewhere says that the directory was found to be moved or copied by a start, this one or one
	// before it, and that nobody has vouched for it since. Copy says that it was found to be a copy
	// of one that was in use. Each start writes this file anew, where it is: what an earlier one
	// found, and was perhaps refused for, must not be forgotten by that.
	Elsewhere bool `json:"elsewhere,omitzero"`
	Copy      bool `json:"copy,omitzero"`
	// Promise binds a node that is in no cluster yet. It outlives its process.
	Promise Promise `json:"promise,omitzero"`
	// Moved says that the file is not where it was written: the directory is a copy, or was moved.
	Moved bool `json:"-"`
}

// Promise is what a fresh node has promised another one: that it forms a cluster by that proposal
// only. The zero value is none.
type Promise struct {
	To     kv.NodeID `json:"to"`
	Number uint64    `json:"number"` // of the proposal, counted by the node that made it
}

// identityText is the file: the identity and a checksum, since a flipped digit in it would
// make the node another one.
type identityText struct {
	Identity
	Checksum string `json:"checksum"`
}

func (id Identity) checksum() (string, error) {
	b, err := json.Marshal(id)
	return fmt.Sprintf("%08x", crc32.Checksum(b, codec.Castagnoli)), err
}

// Identity reads who the node is; false means that the directory is fresh.
func (db *DB) Identity() (Identity, bool, error) {
	path := db.disk.Path(identityFile)
	file, err := db.disk.FS.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Identity{}, false, nil
	}
	if err != nil {
		return Identity{}, false, fmt.Errorf("read identity: %w", err)
	}
	defer file.Close()
	b, err := io.ReadAll(io.LimitReader(file, maxIdentityBytes))
	if err != nil {
		return Identity{}, false, fmt.Errorf("read identity from %s: %w", path, err)
	}
	id, err := parseIdentity(b)
	if err != nil {
		return Identity{}, false, fmt.Errorf("identity in %s: %w", path, err)
	}
	id.Moved = id.Place.differs(db.place(file))
	return id, true, nil
}

func parseIdentity(b []byte) (Identity, error) {
	if crypt.IsHeader(b) { // else it would have been read through the encryption
		return Identity{}, fmt.Errorf("%w: %w", codec.ErrCorrupt, explain(crypt.ErrNoRing))
	}
	var head struct{ Format int }
	if err := json.Unmarshal(b, &head); err != nil {
		return Identity{}, fmt.Errorf("%w: %w", codec.ErrCorrupt, err)
	}
	if head.Format != identityFormat && head.Format != 1 {
		return Identity{}, fmt.Errorf("%w %d (this pxkv knows %d; run the version that wrote it, or a newer one)",
			codec.ErrFormat, head.Format, identityFormat)
	}
	var text identityText
	if err := json.Unmarshal(b, &text); err != nil {
		return Identity{}, fmt.Errorf("%w: %w", codec.ErrCorrupt, err)
	}
	sum, err := text.Identity.checksum()
	if err != nil {
		return Identity{}, err
	}
	if sum != text.Checksum {
		return Identity{}, fmt.Errorf("%w: checksum is %q, should be %q", codec.ErrCorrupt, text.Checksum, sum)
	}
	return text.Identity, nil
}

// SaveIdentity replaces the identity. When it returns nil, the new one outlives a crash;
// when it fails, the old one is still there or the new one is, never a mixture.
func (db *DB) SaveIdentity(id Identity) error {
	id.Format = identityFormat
	var at Place
	save := func(content func(vfs.File) ([]byte, error)) error {
		if err := disk.WriteFile(db.disk.FS, db.disk.Dir, identityFile, content); err != nil {
			return fmt.Errorf("save identity: %w", err)
		}
		return nil
	}
	if err := save(func(f vfs.File) ([]byte, error) { at = db.place(f); return id.text(at) }); err != nil {
		return err
	}
	// A file system that gives the file another birth when it is renamed keeps none.
	if now, known, err := db.Identity(); err != nil || !known || now.Moved {
		return errors.Join(err, save(func(vfs.File) ([]byte, error) { return id.text(Place{}) }))
	}
	return nil
}

// text is the content of the file at a place.
func (id Identity) text(at Place) ([]byte, error) {
	id.Place = at
	sum, err := id.checksum()
	if err != nil {
		return nil, err
	}
	b, err := json.MarshalIndent(identityText{id, sum}, "", "  ")
	return append(b, '\n'), err
}
