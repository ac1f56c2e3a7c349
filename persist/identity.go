package persist

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"

	"pxkv/node/kv"
)

// identityFormat is the version of the whole data directory. A pxkv that meets another one
// does not touch the directory.
const identityFormat = 1

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
}

// identityText is the file: the identity and a checksum, since a flipped digit in it would
// make the node another one.
type identityText struct {
	Identity
	Checksum string `json:"checksum"`
}

func (id Identity) checksum() (string, error) {
	b, err := json.Marshal(id)
	return fmt.Sprintf("%08x", crc32.Checksum(b, castagnoli)), err
}

// Identity reads who the node is; false means that the directory is fresh.
func (db *DB) Identity() (Identity, bool, error) {
	path := db.path(identityFile)
	file, err := db.fs.Open(path)
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
	return id, true, nil
}

func parseIdentity(b []byte) (Identity, error) {
	var head struct{ Format int }
	if err := json.Unmarshal(b, &head); err != nil {
		return Identity{}, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	if head.Format != identityFormat {
		return Identity{}, fmt.Errorf("%w %d (this pxkv knows %d; run the version that wrote it, or a newer one)", ErrFormat, head.Format, identityFormat)
	}
	var text identityText
	if err := json.Unmarshal(b, &text); err != nil {
		return Identity{}, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	sum, err := text.Identity.checksum()
	if err != nil {
		return Identity{}, err
	}
	if sum != text.Checksum {
		return Identity{}, fmt.Errorf("%w: checksum is %q, should be %q", ErrCorrupt, text.Checksum, sum)
	}
	return text.Identity, nil
}

// SaveIdentity replaces the identity. When it returns nil, the new one outlives a crash;
// when it fails, the old one is still there or the new one is, never a mixture.
func (db *DB) SaveIdentity(id Identity) error {
	id.Format = identityFormat
	sum, err := id.checksum()
	if err != nil {
		return fmt.Errorf("save identity: %w", err)
	}
	b, err := json.MarshalIndent(identityText{id, sum}, "", "  ")
	if err != nil {
		return fmt.Errorf("save identity: %w", err)
	}
	if err := writeFile(db.fs, db.opts.Dir, identityFile, append(b, '\n')); err != nil {
		return fmt.Errorf("save identity: %w", err)
	}
	return nil
}
