package salvage

import (
	"errors"
	"fmt"
	"path/filepath"

	"pxkv/node/kv"
	"pxkv/node/meta"
	"pxkv/persist"
	"pxkv/persist/data"
	"pxkv/persist/overlay"
	"pxkv/persist/raftlog"
)

// Options of Open; Dirs is required.
type Options struct {
	Dirs []string // the data directories of stopped nodes of one cluster
	// Store says how each is opened, as its key. What it says of the file system, limits and times is not asked.
	Store persist.Options
	// Uncommitted takes all that the copies have, where too few are there to know what is committed.
	Uncommitted bool
}

// directory is one that is open.
type directory struct {
	name  string
	fs    *overlay.FS
	db    *persist.DB
	id    persist.Identity
	stale bool // it is of an earlier start than another directory knows of: it has forgotten promises
}

// Salvage is what the directories hold.
type Salvage struct {
	dirs       []*directory
	state      *meta.State
	partitions []*partition
	report     Report
}

// memory is what one directory may hold of its store in memory.
var memory = data.Pebble{CacheBytes: 16 << 20, MemTableBytes: 4 << 20, DisableCompactions: true}

// Open opens all directories, and brings every partition to its newest state, in memory. A directory that is in use, or
// damaged, or of another cluster, is an error.
func Open(o Options) (*Salvage, error) {
	s := &Salvage{}
	err := s.open(&o)
	if err == nil {
		err = s.choose(&o)
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Salvage) open(o *Options) error {
	if len(o.Dirs) == 0 {
		return errors.New("no data directory is given")
	}
	for _, name := range o.Dirs {
		d, err := openDirectory(name, o.Store)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		s.dirs = append(s.dirs, d)
		for _, other := range s.dirs[:len(s.dirs)-1] {
			if d.id.Cluster != other.id.Cluster {
				return fmt.Errorf("%s is of the cluster with the id %s, and %s of %s", name, d.id.Cluster, other.name,
					other.id.Cluster)
			}
			if d.id.Node == other.id.Node {
				return fmt.Errorf("%s and %s are of one node (%s): leave the older copy out", other.name, name,
					d.id.Node)
			}
		}
	}
	return s.readState()
}

// openDirectory opens a store of which nothing is changed.
func openDirectory(name string, store persist.Options) (_ *directory, err error) {
	name = filepath.Clean(name)
	d := &directory{name: name, fs: overlay.New()}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.close())
		}
	}()
	if _, err := d.fs.Stat(d.fs.PathJoin(name, raftlog.Dir)); err != nil {
		return nil, fmt.Errorf("it is no data directory of a node: %w", err)
	}
	store.Dir, store.FS, store.Pebble = name, d.fs, memory
	store.ReuseSegments, store.Light, store.StallAfter, store.Metrics = false, false, -1, nil
	store.KeepsOldKeys = true
	if d.db, err = persist.Open(store); err != nil {
		if errors.Is(err, persist.ErrLocked) {
			err = fmt.Errorf("%w; a node that runs is asked without --data-dir", err)
		}
		return nil, err
	}
	var known bool
	if d.id, known, err = d.db.Identity(); err != nil {
		return nil, err
	}
	if !known || d.id.Cluster == 0 {
		return nil, errors.New("its node never was in a cluster")
	}
	return d, nil
}

func (d *directory) close() error {
	var err error
	if d.db != nil {
		err = d.db.Close()
	}
	return errors.Join(err, d.fs.Close())
}

// Close closes the directories.
func (s *Salvage) Close() error {
	var errs []error
	for _, d := range s.dirs {
		errs = append(errs, d.close())
	}
	s.dirs = nil
	return errors.Join(errs...)
}

// readState finds the newest state of the cluster that the directories have.
func (s *Salvage) readState() error {
	var newest uint64
	for _, d := range s.dirs {
		r := d.db.Replica(kv.Meta)
		if r == nil || r.Void() {
			continue
		}
		m := meta.NewMachine(d.db.Store, d.id.Node)
		if err := m.Reload(); err != nil {
			return fmt.Errorf("%s: %w", d.name, err)
		}
		if at := r.Applied().Index; m.State() != nil && (s.state == nil || at > newest) {
			s.state, newest = m.State(), at
		}
	}
	if s.state == nil {
		return errors.New("none of the directories knows what the cluster was: their nodes had just begun to join it")
	}
	for _, d := range s.dirs {
		if m, ok := s.state.Member(d.id.Node); ok && d.id.Starts < m.Starts {
			d.stale = true
		}
		d.stale = d.stale || d.id.Copy
	}
	return nil
}
