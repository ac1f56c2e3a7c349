package crypt

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"pxkv/persist/disk"
)

// A file of an old data key is copied, under the current one, and the copy takes its name. That is done below the
// stores, which need not know of it: a table deep in Pebble's tree would not be compacted for years, and its manifest
// is open for as long as the process runs. A file that is being written to is copied while it grows; what has come
// since is copied while its writer waits, and from then on the writer, and whoever reads it, has the copy.

// rewriteDir is where the copies lie until they are whole. A start empties it.
const rewriteDir = "rewrite"

// chunkBytes are copied at once.
const chunkBytes = 256 << 10

// syncEvery is after how many bytes the disk is told to write them.
const syncEvery = 1 << 20

// mostFailed is how many files are named that could not be rewritten.
const mostFailed = 4

// spareRoom is left on the disk by a copy.
const spareRoom = 64 << 20

// Rewrite rewrites what is encrypted by old data keys, and forgets those. It returns false when something of them is
// left, which should be tried again later: files that came and went meanwhile, or an error, of which it says why.
func (s *FS) Rewrite(ctx context.Context) (done bool, err error) {
	if !s.Pending() {
		return true, nil
	}
	found, err := s.files()
	if err != nil {
		return false, err
	}
	if err := disk.MakeDir(s.FS, s.path(), s.path(rewriteDir)); err != nil {
		return false, err
	}
	// One that cannot be rewritten, as for lack of room, does not hold up the others.
	var failed []error
	for _, path := range found {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		if rotationForgetsKey && s.writer(path) != nil {
			continue
		}
		id, _, err := s.look(path)
		if err == nil && id != 0 && id != s.ring.Load().current().id {
			err = s.rewrite(ctx, clean(path))
		}
		if err != nil && len(failed) < mostFailed {
			failed = append(failed, fmt.Errorf("rewrite %s: %w", path, err))
		}
	}
	if len(failed) > 0 {
		return false, errors.Join(failed...)
	}
	if done, err = s.forget(); err == nil && done {
		err = s.FS.RemoveAll(s.path(rewriteDir))
	}
	return done, err
}

// writer is who has a file open for appending.
func (s *FS) writer(path string) *file {
	s.mu.Lock()
	defer s.mu.Unlock()
	for f := range s.open {
		if f.path == path && f.appends {
			return f
		}
	}
	return nil
}

// overwritten reports whether somebody may be writing anywhere in a file.
func (s *FS) overwritten(path string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for f := range s.open {
		if f.path == path && f.overwrites {
			return true
		}
	}
	return false
}

// rewrite does so with one file. What is in the way of it is no error: it is tried again.
func (s *FS) rewrite(ctx context.Context, path string) error {
	s.mu.Lock()
	s.moving = relocation{path: path}
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.moving = relocation{}
		s.mu.Unlock()
	}()
	if transform := s.transformOf(path); transform != nil {
		return s.transform(path, transform)
	}
	c := &copying{fs: s, path: path, ctx: ctx, pace: s.o.Pace}
	err := c.begin()
	if err == nil && c.from != nil {
		err = c.finish()
	}
	return errors.Join(err, c.end())
}

func (s *FS) transformOf(path string) func([]byte, vfs.File) ([]byte, error) {
	for name, t := range s.o.Transform {
		if clean(s.path(name)) == path {
			return t
		}
	}
	return nil
}

// transform replaces a small file that says which file it is, while nobody else may.
func (s *FS) transform(path string, transform func([]byte, vfs.File) ([]byte, error)) error {
	s.names.Lock()
	defer s.names.Unlock()
	raw, err := s.FS.Open(path)
	if err != nil {
		return ignoreGone(err)
	}
	st, err := s.streamOf(raw, path)
	var content []byte
	if err == nil && st.key != nil {
		if content, err = io.ReadAll(io.NewSectionReader(raw, HeaderBytes, 1<<20)); err == nil {
			st.from(0).XORKeyStream(content, content)
		}
	}
	if err = errors.Join(err, raw.Close()); err != nil || st.key == nil {
		return err
	}
	tmp := s.path(rewriteDir, s.FS.PathBase(path))
	to, err := s.FS.Create(tmp, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	if st, err = s.newStream(); err == nil {
		content, err = transform(content, to)
	}
	if err == nil {
		st.from(0).XORKeyStream(content, content)
		_, err = to.Write(append(st.header(), content...))
	}
	if err == nil {
		err = to.Sync()
	}
	if err = errors.Join(err, to.Close()); err != nil {
		return errors.Join(err, s.FS.Remove(tmp))
	}
	return s.FS.Rename(tmp, path)
}

func ignoreGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// copying is a file that is being copied.
type copying struct {
	fs   *FS
	ctx  context.Context //nolint:containedctx // of this one copy
	path string
	tmp  string

	from, to vfs.File
	was, is  stream
	writer   *file
	copied   int64 // of the content
	length   int64 // of the content, and the room behind it
	inPlace  bool  // the copy has taken the name
	pace     int64 // see Options
	began    time.Time
}

// begin copies what is there now. from stays nil when there is nothing to be done.
func (c *copying) begin() error {
	s := c.fs
	// Before its length is looked at: a writer that ends in between is asked how far it came, and without one the
	// file does not grow any more.
	c.writer = s.writer(c.path)
	from, err := s.FS.Open(c.path)
	if err != nil {
		return ignoreGone(err)
	}
	c.from = from
	if c.was, err = s.streamOf(from, c.path); err != nil {
		return err
	}
	info, err := from.Stat()
	if err != nil {
		return err
	}
	c.length = info.Size() - HeaderBytes
	if err := c.room(); err != nil {
		return err
	}
	c.tmp = s.path(rewriteDir, s.FS.PathBase(c.path))
	if err := ignoreGone(s.FS.Remove(c.tmp)); err != nil {
		return err
	}
	s.names.RLock()
	c.is, err = s.newStream()
	s.names.RUnlock()
	if err != nil {
		return err
	}
	if c.to, err = s.FS.OpenReadWrite(c.tmp, vfs.WriteCategoryUnspecified); err != nil {
		return err
	}
	if _, err := c.to.WriteAt(c.is.header(), 0); err != nil {
		return err
	}
	c.began = time.Now()
	if c.writer == nil {
		return errors.Join(c.copyTo(c.length), c.sync())
	}
	c.writer.mu.RLock()
	end := c.writer.at
	c.writer.mu.RUnlock()
	if err := c.copyTo(end); err != nil {
		return err
	}
	// The room behind it has never been written to under this header, and what comes there must be the first.
	zeros := make([]byte, chunkBytes)
	for at := end; at < c.length; at += chunkBytes {
		if _, err := c.to.WriteAt(zeros[:min(chunkBytes, c.length-at)], at+HeaderBytes); err != nil {
			return err
		}
		c.wait(at)
	}
	return c.sync()
}

// room refuses to fill the disk.
func (c *copying) room() error {
	du, err := c.fs.FS.GetDiskUsage(c.fs.o.Dir)
	if err != nil {
		return nil //nolint:nilerr // a file system in memory does not tell
	}
	need := uint64(c.length) + min(spareRoom, du.TotalBytes/50)
	if du.AvailBytes < need {
		return fmt.Errorf("there is no room for a copy: %d bytes are free, %d are needed", du.AvailBytes, need)
	}
	return nil
}

func (c *copying) sync() error {
	if err := c.to.Sync(); err != nil {
		return fmt.Errorf("sync of the copy: %w", err)
	}
	return nil
}

// copyTo copies up to an offset of the content.
func (c *copying) copyTo(end int64) error {
	b := make([]byte, min(chunkBytes, max(0, end-c.copied)))
	for c.copied < end {
		if err := c.ctx.Err(); err != nil {
			return err
		}
		piece := b[:min(int64(len(b)), end-c.copied)]
		n, err := c.from.ReadAt(piece, c.copied+HeaderBytes)
		if err != nil && !(errors.Is(err, io.EOF) && n == len(piece)) {
			return fmt.Errorf("read at %d: %w", c.copied, err)
		}
		c.was.from(c.copied).XORKeyStream(piece, piece)
		c.is.from(c.copied).XORKeyStream(piece, piece)
		if _, err := c.to.WriteAt(piece, c.copied+HeaderBytes); err != nil {
			return err
		}
		before := c.copied
		c.copied += int64(len(piece))
		// The sync at the end then has little to do, and those of the log need not wait for it.
		if c.copied/syncEvery > before/syncEvery {
			if _, err := c.to.SyncTo(c.copied + HeaderBytes); err != nil {
				return err
			}
		}
		c.fs.rewritten.Add(int64(len(piece)))
		c.wait(c.copied)
	}
	return nil
}

// wait leaves the disk to others for a while.
func (c *copying) wait(bytes int64) {
	if c.pace <= 0 {
		return
	}
	due := time.Duration(float64(bytes) / float64(c.pace) * float64(time.Second))
	if ahead := due - time.Since(c.began); ahead > time.Millisecond {
		select {
		case <-time.After(ahead):
		case <-c.ctx.Done():
		}
	}
}

// finish puts the copy in the place of the file, unless that has changed otherwise than by growing.
func (c *copying) finish() error {
	s := c.fs
	s.names.Lock()
	defer s.names.Unlock()
	s.mu.Lock()
	spoiled := s.moving.spoiled
	s.mu.Unlock()
	writer := s.writer(c.path)
	if spoiled || s.overwritten(c.path) || writer != nil && writer != c.writer || s.ring.Load().current() != c.is.key {
		return nil
	}
	if c.writer == nil {
		return c.rename()
	}
	w := c.writer
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.broken != nil {
		return w.broken
	}
	if w.stream != c.was {
		return nil
	}
	c.ctx, c.pace = context.WithoutCancel(c.ctx), 0 // somebody waits
	if w.at > c.copied {
		if err := errors.Join(c.copyTo(w.at), c.sync()); err != nil {
			return err
		}
	}
	// From here on the name may mean the one or the other after a crash, and what is promised must be in both. So
	// nothing is, until it can only be the copy.
	err := c.rename()
	if err == nil {
		err = disk.SyncDir(s.FS, s.FS.PathDir(c.path))
	}
	if err == nil {
		err = c.hand(w)
	}
	if err != nil {
		w.broken = fmt.Errorf("%w: a rewritten file did not take its place: %w", ErrFatal, err)
		return w.broken
	}
	return nil
}

func (c *copying) rename() error {
	err := c.fs.FS.Rename(c.tmp, c.path)
	c.inPlace = err == nil
	return err
}

// hand gives the copy to all who have the file open. The caller holds w.mu.
func (c *copying) hand(w *file) error {
	s := c.fs
	s.mu.Lock()
	var all []*file
	for f := range s.open {
		if f.path == c.path && f != w {
			all = append(all, f)
		}
	}
	s.mu.Unlock()
	var err error
	for _, f := range all {
		f.mu.Lock()
		if !f.closed {
			err = errors.Join(err, f.become(c, func() (vfs.File, error) { return s.FS.Open(c.path) }))
		}
		f.mu.Unlock()
	}
	if w.closed {
		return err
	}
	w.moved = true
	return errors.Join(err, w.become(c, func() (vfs.File, error) {
		return s.FS.OpenReadWrite(c.path, vfs.WriteCategoryUnspecified)
	}))
}

// become gives a file that is open the copy. The caller holds f.mu.
func (f *file) become(c *copying, open func() (vfs.File, error)) error {
	raw, err := open()
	if err != nil {
		return err
	}
	err = f.raw.Close()
	f.raw, f.stream, f.running = raw, c.is, nil
	f.headed.Store(true)
	return err
}

// end frees what is left.
func (c *copying) end() error {
	var errs []error
	for _, f := range []vfs.File{c.from, c.to} {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	if c.tmp != "" && !c.inPlace {
		errs = append(errs, ignoreGone(c.fs.FS.Remove(c.tmp)))
	}
	return errors.Join(errs...)
}
