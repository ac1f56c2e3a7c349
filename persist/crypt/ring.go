package crypt

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"pxkv/persist/codec"
	"pxkv/persist/disk"
)

// RingFile holds the data keys of a directory.
const RingFile = "encryption.json"

const (
	ringFormat   = 1
	maxRingBytes = 64 << 10
	// mostDataKeys may be in use at one time: one is current, and each rotation that comes before an
	// earlier one is done adds one.
	mostDataKeys = 16
)

// dataKey encrypts files.
type dataKey struct {
	id    uint32
	made  time.Time
	key   [KeyBytes]byte
	block cipher.Block
}

// ring is the data keys of a directory. It is not changed; another one takes its place.
type ring struct {
	wrappedBy string // fingerprint
	keys      []*dataKey
}

// current is the one for new files: the newest.
func (r *ring) current() *dataKey { return r.keys[len(r.keys)-1] }

func (r *ring) find(id uint32) *dataKey {
	for _, k := range r.keys {
		if k.id == id {
			return k
		}
	}
	return nil
}

// ringHead is what may be read of the file. All of it is authenticated with the keys.
type ringHead struct {
	Format    int       `json:"format"`
	WrappedBy string    `json:"wrapped_by"`
	DataKeys  []keyHead `json:"data_keys"` // the last is the current one
}

type keyHead struct {
	ID   uint32    `json:"id"`
	Made time.Time `json:"made"`
}

// ringText is the file: the data keys themselves, one after the other, by AES-256-GCM under the operator's key.
type ringText struct {
	ringHead
	Nonce  string `json:"nonce"`
	Sealed []byte `json:"sealed"`
}

func newDataKey(id uint32, made time.Time, random io.Reader) (*dataKey, error) {
	k := &dataKey{id: id, made: made.UTC().Truncate(time.Second)}
	if _, err := io.ReadFull(random, k.key[:]); err != nil {
		return nil, fmt.Errorf("draw a data key: %w", err)
	}
	return k, k.expand()
}

func (k *dataKey) expand() (err error) {
	k.block, err = aes.NewCipher(k.key[:])
	return err
}

// seal makes the text of the ring, wrapped by a key.
func (r *ring) seal(by Key, random io.Reader) ([]byte, error) {
	head := ringHead{Format: ringFormat, WrappedBy: by.Fingerprint()}
	var plain []byte
	for _, k := range r.keys {
		head.DataKeys = append(head.DataKeys, keyHead{k.id, k.made})
		plain = append(plain, k.key[:]...)
	}
	bound, err := json.Marshal(head)
	if err != nil {
		return nil, err
	}
	aead, err := wrapping(by)
	if err != nil {
		return nil, err
	}
	nonce := make([]byte, aead.NonceSize())
	if _, err := io.ReadFull(random, nonce); err != nil {
		return nil, err
	}
	text, err := json.MarshalIndent(ringText{head, hex.EncodeToString(nonce), aead.Seal(nil, nonce, plain, bound)},
		"", "  ")
	return append(text, '\n'), err
}

func wrapping(by Key) (cipher.AEAD, error) {
	block, err := aes.NewCipher(by[:])
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// unseal reads the text of a ring with whichever of the keys it was wrapped by.
func unseal(text []byte, keys []Key) (*ring, error) {
	damaged := func(what any) error {
		return fmt.Errorf("%w: the data keys in %s are damaged (%v): take the file from a backup, or rebuild the node",
			codec.ErrCorrupt, RingFile, what)
	}
	var t ringText
	if err := json.Unmarshal(text, &t); err != nil {
		return nil, damaged(err)
	}
	if t.Format != ringFormat {
		return nil, fmt.Errorf("%w %d of %s (this pxkv knows %d; run the version that wrote it, or a newer one)",
			codec.ErrFormat, t.Format, RingFile, ringFormat)
	}
	for _, by := range keys {
		if by.Fingerprint() != t.WrappedBy {
			continue
		}
		bound, err := json.Marshal(t.ringHead)
		if err != nil {
			return nil, damaged(err)
		}
		nonce, err := hex.DecodeString(t.Nonce)
		if err != nil {
			return nil, damaged(err)
		}
		aead, err := wrapping(by)
		if err != nil {
			return nil, err
		}
		if len(nonce) != aead.NonceSize() {
			return nil, damaged("nonce")
		}
		plain, err := aead.Open(nil, nonce, t.Sealed, bound)
		if err != nil {
			return nil, damaged("it was not made with the key that it names, or was changed")
		}
		return t.unpack(plain, damaged)
	}
	return nil, fmt.Errorf("%w: the data keys are wrapped by key %s; given is %s", ErrWrongKey, t.WrappedBy,
		fingerprints(keys))
}

func (t *ringText) unpack(plain []byte, damaged func(any) error) (*ring, error) {
	if len(t.DataKeys) == 0 || len(plain) != len(t.DataKeys)*KeyBytes {
		return nil, damaged("length")
	}
	r := &ring{wrappedBy: t.WrappedBy}
	for i, h := range t.DataKeys {
		k := &dataKey{id: h.ID, made: h.Made, key: [KeyBytes]byte(plain[i*KeyBytes:])}
		if i > 0 && h.ID <= t.DataKeys[i-1].ID {
			return nil, damaged("order")
		}
		if err := k.expand(); err != nil {
			return nil, err
		}
		r.keys = append(r.keys, k)
	}
	return r, nil
}

func fingerprints(keys []Key) (text string) {
	for i, k := range keys {
		if i > 0 {
			text += ", "
		}
		text += k.Fingerprint()
	}
	return text
}

// readRing reads the file; nil when there is none.
func readRing(f vfs.FS, dir string) ([]byte, error) {
	file, err := f.Open(f.PathJoin(dir, RingFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(file, maxRingBytes))
	return text, errors.Join(err, file.Close())
}

// save replaces the file, atomically and for good.
func (s *FS) save(r *ring, by Key) error {
	text, err := r.seal(by, s.random)
	if err != nil {
		return err
	}
	r.wrappedBy = by.Fingerprint()
	err = disk.WriteFile(s.FS, s.o.Dir, RingFile, func(vfs.File) ([]byte, error) { return text, nil })
	if err != nil {
		return fmt.Errorf("save data keys: %w", err)
	}
	return nil
}
