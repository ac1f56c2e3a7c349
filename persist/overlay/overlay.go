package overlay

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// FS is the file system of the machine with what was written to it here.
type FS struct {
	vfs.FS // the machine's, for paths

	mu    sync.Mutex
	nodes map[string]*node // by path: what was written, made or removed here
	files []io.Closer      // of the machine that are read
}

// node is what is at a path here.
type node struct {
	content *content // of a file
	dir     bool     // it is a directory; with neither there is nothing
}

var _ vfs.FS = (*FS)(nil)

// New makes one in which nothing is written yet.
func New() *FS { return &FS{FS: vfs.Default, nodes: map[string]*node{}} }

// Close forgets all that was written. Nothing may use it any more.
func (o *FS) Close() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	var errs []error
	for _, f := range o.files {
		errs = append(errs, f.Close())
	}
	o.files, o.nodes = nil, nil
	return errors.Join(errs...)
}

func (o *FS) path(name string) string { return o.PathJoin(name) }

func missing(op, name string) error { return &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist} }

// Create implements vfs.FS.
func (o *FS) Create(name string, _ vfs.DiskWriteCategory) (vfs.File, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := o.mustBeDir(o.PathDir(o.path(name))); err != nil {
		return nil, err
	}
	return o.make(name), nil
}

// make makes an empty file. The lock is held.
func (o *FS) make(name string) *file {
	c := &content{}
	o.nodes[o.path(name)] = &node{content: c}
	return &file{content: c, name: o.PathBase(name), writes: true}
}

func (o *FS) mustBeDir(name string) error {
	info, err := o.stat(name)
	if err == nil && !info.IsDir() {
		err = fmt.Errorf("%s is no directory", name)
	}
	return err
}

// Link implements vfs.FS.
func (o *FS) Link(oldname, newname string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if _, err := o.stat(newname); err == nil {
		return &fs.PathError{Op: "link", Path: newname, Err: fs.ErrExist}
	}
	c, err := o.own(oldname)
	if err == nil {
		err = o.mustBeDir(o.PathDir(o.path(newname)))
	}
	if err == nil {
		o.nodes[o.path(newname)] = &node{content: c}
	}
	return err
}

// own returns the content of a file, which may be written to. The lock is held.
func (o *FS) own(name string) (*content, error) {
	path := o.path(name)
	if n := o.nodes[path]; n != nil {
		if n.content == nil {
			return nil, missing("open", name)
		}
		return n.content, nil
	}
	f, err := o.FS.Open(path)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && info.IsDir() {
		err = fmt.Errorf("%s is a directory", name)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	c := &content{under: f, length: info.Size(), size: info.Size()}
	o.files = append(o.files, f)
	o.nodes[path] = &node{content: c}
	return c, nil
}

// Open implements vfs.FS.
func (o *FS) Open(name string, opts ...vfs.OpenOption) (vfs.File, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := o.nodes[o.path(name)]
	switch {
	case n == nil:
		return o.FS.Open(name, opts...) // which the machine lets nobody write to
	case n.dir:
		return &file{content: &content{}, name: o.PathBase(name), dir: true}, nil
	case n.content == nil:
		return nil, missing("open", name)
	}
	return &file{content: n.content, name: o.PathBase(name)}, nil
}

// OpenReadWrite implements vfs.FS.
func (o *FS) OpenReadWrite(name string, _ vfs.DiskWriteCategory, _ ...vfs.OpenOption) (vfs.File, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	c, err := o.own(name)
	if errors.Is(err, fs.ErrNotExist) {
		if err := o.mustBeDir(o.PathDir(o.path(name))); err != nil {
			return nil, err
		}
		return o.make(name), nil
	}
	if err != nil {
		return nil, err
	}
	return &file{content: c, name: o.PathBase(name), writes: true}, nil
}

// OpenDir implements vfs.FS.
func (o *FS) OpenDir(name string) (vfs.File, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := o.mustBeDir(o.path(name)); err != nil {
		return nil, err
	}
	return &file{content: &content{}, name: o.PathBase(name), dir: true}, nil
}

// Remove implements vfs.FS.
func (o *FS) Remove(name string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	info, err := o.stat(name)
	if err != nil {
		return err
	}
	if info.IsDir() {
		if names, err := o.list(name); err != nil || len(names) > 0 {
			return errors.Join(err, fmt.Errorf("directory %s is not empty", name))
		}
	}
	o.nodes[o.path(name)] = &node{}
	return nil
}

// RemoveAll implements vfs.FS.
func (o *FS) RemoveAll(name string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.removeAll(name)
}

func (o *FS) removeAll(name string) error {
	info, err := o.stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && info.IsDir() {
		var names []string
		names, err = o.list(name)
		for _, n := range names {
			err = errors.Join(err, o.removeAll(o.PathJoin(name, n)))
		}
	}
	if err == nil {
		o.nodes[o.path(name)] = &node{}
	}
	return err
}

// Rename implements vfs.FS.
func (o *FS) Rename(oldname, newname string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.rename(oldname, newname)
}

func (o *FS) rename(oldname, newname string) error {
	c, err := o.own(oldname)
	if err == nil {
		err = o.mustBeDir(o.PathDir(o.path(newname)))
	}
	// Two names of one file stay both.
	if there := o.nodes[o.path(newname)]; err == nil && (there == nil || there.content != c) {
		o.nodes[o.path(newname)] = &node{content: c}
		o.nodes[o.path(oldname)] = &node{}
	}
	return err
}

// ReuseForWrite implements vfs.FS.
func (o *FS) ReuseForWrite(oldname, newname string, _ vfs.DiskWriteCategory) (vfs.File, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := o.rename(oldname, newname); err != nil {
		return nil, err
	}
	return &file{content: o.nodes[o.path(newname)].content, name: o.PathBase(newname), writes: true}, nil
}

// MkdirAll implements vfs.FS.
func (o *FS) MkdirAll(dir string, _ os.FileMode) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	for d := o.path(dir); ; d = o.PathDir(d) {
		info, err := o.stat(d)
		switch {
		case err == nil && info.IsDir():
			return nil
		case err == nil:
			return fmt.Errorf("%s is no directory", d)
		case !errors.Is(err, fs.ErrNotExist) || d == o.PathDir(d):
			return err
		}
		o.nodes[d] = &node{dir: true}
	}
}

// Lock implements vfs.FS: as a reader, of what is there.
func (o *FS) Lock(name string) (io.Closer, error) { return lock(name) }

// List implements vfs.FS.
func (o *FS) List(dir string) ([]string, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.list(dir)
}

func (o *FS) list(dir string) ([]string, error) {
	path := o.path(dir)
	if err := o.mustBeDir(path); err != nil {
		return nil, err
	}
	all := map[string]bool{}
	if n := o.nodes[path]; n == nil {
		names, err := o.FS.List(path)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			all[name] = true
		}
	}
	for p, n := range o.nodes {
		if o.PathDir(p) != path || p == path {
			continue
		}
		if name := o.PathBase(p); n.dir || n.content != nil {
			all[name] = true
		} else {
			delete(all, name)
		}
	}
	return slices.Sorted(maps.Keys(all)), nil
}

// Stat implements vfs.FS.
func (o *FS) Stat(name string) (vfs.FileInfo, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.stat(name)
}

func (o *FS) stat(name string) (vfs.FileInfo, error) {
	n := o.nodes[o.path(name)]
	switch {
	case n == nil:
		return o.FS.Stat(name)
	case n.dir:
		return info{name: o.PathBase(name), dir: true}, nil
	case n.content == nil:
		return nil, missing("stat", name)
	}
	return info{name: o.PathBase(name), size: n.content.bytes()}, nil
}

// GetDiskUsage implements vfs.FS. What is written fills no disk.
func (o *FS) GetDiskUsage(string) (vfs.DiskUsage, error) { return vfs.DiskUsage{}, vfs.ErrUnsupported }

// Unwrap implements vfs.FS. What is below must not be found: it could be written to.
func (o *FS) Unwrap() vfs.FS { return nil }
