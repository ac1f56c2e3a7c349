package disktest

import (
	"sync/atomic"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Quota is a file system of so many bytes. It counts what is written and what is removed.
type Quota struct {
	vfs.FS
	Total int64
	Used  *atomic.Int64
}

// NewQuota makes an empty one.
func NewQuota(total int64) Quota { return Quota{vfs.NewMem(), total, new(atomic.Int64)} }

// Unwrap implements vfs.FS.
func (q Quota) Unwrap() vfs.FS { return q.FS }

// GetDiskUsage implements vfs.FS.
func (q Quota) GetDiskUsage(string) (vfs.DiskUsage, error) {
	free := uint64(max(0, q.Total-q.Used.Load()))
	return vfs.DiskUsage{AvailBytes: free, TotalBytes: uint64(q.Total), UsedBytes: uint64(q.Total) - free}, nil
}

func (q Quota) size(name string) int64 {
	if info, err := q.FS.Stat(name); err == nil && !info.IsDir() {
		return info.Size()
	}
	return 0
}

// Create implements vfs.FS.
func (q Quota) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	q.Used.Add(-q.size(name))
	f, err := q.FS.Create(name, c)
	return quotaFile{f, q}, err
}

// ReuseForWrite implements vfs.FS.
func (q Quota) ReuseForWrite(old, name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	size := q.size(old)
	f, err := q.FS.ReuseForWrite(old, name, c)
	if err == nil {
		q.Used.Add(q.size(name) - size) // a file in memory begins empty
	}
	return quotaFile{f, q}, err
}

// Rename implements vfs.FS.
func (q Quota) Rename(old, name string) error {
	q.Used.Add(-q.size(name))
	return q.FS.Rename(old, name)
}

// Remove implements vfs.FS.
func (q Quota) Remove(name string) error {
	size := q.size(name)
	err := q.FS.Remove(name)
	if err == nil {
		q.Used.Add(-size)
	}
	return err
}

// RemoveAll implements vfs.FS.
func (q Quota) RemoveAll(name string) error {
	names, _ := q.FS.List(name)
	for _, n := range names {
		if err := q.RemoveAll(q.PathJoin(name, n)); err != nil {
			return err
		}
	}
	q.Used.Add(-q.size(name))
	return q.FS.RemoveAll(name)
}

// Link implements vfs.FS.
func (q Quota) Link(old, name string) error {
	q.Used.Add(q.size(old)) // until the other name is removed
	return q.FS.Link(old, name)
}

type quotaFile struct {
	vfs.File
	q Quota
}

// Write implements vfs.File.
func (f quotaFile) Write(b []byte) (int, error) {
	if f.q.Used.Add(int64(len(b))) > f.q.Total {
		f.q.Used.Add(-int64(len(b)))
		return 0, syscall.ENOSPC
	}
	return f.File.Write(b)
}
