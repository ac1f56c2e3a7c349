package persist

import (
	"errors"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"pxkv/persist/crypt"
	"pxkv/persist/data"
	"pxkv/persist/disk"
	"pxkv/persist/raftlog"
)

// ErrNotEncrypted is the answer to a rotation where nothing is encrypted.
var ErrNotEncrypted = errors.New("the data of this node is not encrypted: see \"Encryption at rest\" in " +
	"docs/operations.md for how to switch it on")

// Rewriting after a rotation goes on beside everything else: not faster than rewritePace bytes a second, and what
// could not be done is tried again after a pause.
const (
	rewritePace       = 64 << 20
	shortRewritePause = time.Second
	longRewritePause  = 30 * time.Second
	rewriteTries      = 10 // with short pauses
)

// names of all that a node writes in its directory. An identity that is about to take the place of the one before has
// a data key, too: it must not be forgotten in between.
var names = []string{identityFile, identityFile + disk.TmpSuffix, raftlog.Dir, data.Dir, data.StagingDir, rebuildDir}

// encrypted puts the encryption over the disk, if there is any.
func (db *DB) encrypted() error {
	var keys []crypt.Key
	if db.opts.Keys != nil {
		var err error
		if keys, err = db.opts.Keys(); err != nil {
			return err
		}
	}
	o := crypt.Options{
		FS: db.opts.FS, Dir: db.opts.Dir, Names: names, Keys: keys, Random: db.opts.Random, Pace: rewritePace,
		Transform: map[string]func([]byte, vfs.File) ([]byte, error){identityFile: db.moveIdentity},
	}
	if db.opts.Light {
		o.Pace = 0
	}
	var err error
	if db.crypt, err = crypt.Open(o); err != nil {
		return explain(err)
	}
	if db.crypt != nil {
		db.opts.FS = db.crypt
	}
	return nil
}

// explain says what can be done about a directory that does not fit the keys.
func explain(err error) error {
	switch {
	case errors.Is(err, crypt.ErrNoKey):
		return fmt.Errorf("%w: give the node its key by --encryption-key-file or PXKV_ENCRYPTION_KEY; "+
			"nothing was changed", err)
	case errors.Is(err, crypt.ErrWrongKey):
		return fmt.Errorf("%w: add the key that it was encrypted with to the key file; nothing was changed", err)
	case errors.Is(err, crypt.ErrPlain):
		return fmt.Errorf("%w: start it without a key, or encrypt it by rebuilding it, with an empty data directory "+
			"and the same name; nothing was changed", err)
	case errors.Is(err, crypt.ErrNoRing):
		return fmt.Errorf("%w: put that file back from a copy that is as new as the last rotation; nothing was changed",
			err)
	}
	return err
}

// Unlock is the directory of a node as the node itself sees it, for whoever works on it beside a node or without
// one: decrypted, if it is encrypted. Nothing is changed. It must not be used to make a fresh directory.
func Unlock(f vfs.FS, dir string, keys []crypt.Key) (vfs.FS, error) {
	c, err := crypt.Open(crypt.Options{FS: f, Dir: dir, Names: names, Keys: keys})
	if err != nil {
		return nil, explain(err)
	}
	if c == nil {
		return f, nil
	}
	return c, nil
}

// moveIdentity makes the identity say where its copy is, which takes its place: else the copy would pass for that of
// another directory.
func (db *DB) moveIdentity(content []byte, to vfs.File) ([]byte, error) {
	id, err := parseIdentity(content)
	if err != nil {
		return nil, err
	}
	at := id.Place
	if at != (Place{}) { // else no place is known here
		at = db.place(to)
	}
	return id.text(at)
}

// Encryption is how the directory is encrypted; false when it is not.
func (db *DB) Encryption() (crypt.Usage, bool, error) {
	if db.crypt == nil {
		return crypt.Usage{}, false, nil
	}
	u, err := db.crypt.Usage()
	return u, true, err
}

// RotateKeys reads the keys again, wraps the data keys by the first of them, and encrypts all that is written from
// now on by a new data key. What is there is rewritten in the background; when nothing uses an old data key any more
// it is forgotten. A crash at any point is harmless: the next start goes on.
func (db *DB) RotateKeys() error {
	switch {
	case db.crypt == nil:
		return ErrNotEncrypted
	case !db.disk.IsOpen():
		return disk.ErrClosed
	}
	keys, err := db.opts.Keys()
	if err != nil {
		return err
	}
	if db.opts.Background != nil {
		db.opts.Background.Finish() // its flush would wait while this one waits for it
	}
	if err := db.crypt.Rotate(keys); err != nil {
		return err
	}
	db.disk.Logger.Info("encryption keys rotated: new files have a new data key, old ones are rewritten",
		"dir", db.disk.Dir, "key", keys[0].Fingerprint())
	db.rewrite()
	return nil
}

// rewrite goes on with what is encrypted by old data keys, in the background.
func (db *DB) rewrite() {
	if db.crypt == nil || db.opts.KeepsOldKeys || !db.crypt.Pending() {
		return
	}
	db.disk.InBackground(&db.rewriting, func() {
		for try := 1; ; try++ {
			done, err := db.crypt.Rewrite(db.disk.Context())
			switch {
			case errors.Is(err, crypt.ErrFatal):
				db.disk.Fail("%v", err)
			case done:
				db.disk.Logger.Info("old data keys are forgotten: all files are rewritten", "dir", db.disk.Dir)
				return
			case db.disk.Context().Err() != nil:
				return
			case err != nil:
				db.disk.Logger.Warn("files of an old data key are not rewritten yet", "dir", db.disk.Dir, "err", err)
			}
			if db.opts.Light { // nobody waits here: the next rotation or start goes on
				return
			}
			pause := shortRewritePause
			if err != nil || try > rewriteTries {
				pause = longRewritePause
			}
			select {
			case <-time.After(pause):
			case <-db.disk.Context().Done():
				return
			}
		}
	})
}
