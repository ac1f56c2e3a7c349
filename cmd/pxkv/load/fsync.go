package load

import (
	"context"
	"fmt"
	"os"
	"time"
)

// FsyncResult tells how long a disk takes to make a small append durable, in milliseconds.
type FsyncResult struct {
	Dir       string    `json:"dir"`
	Size      int       `json:"size"` // bytes of each append
	Fdatasync Latencies `json:"fdatasync"`
	Fsync     Latencies `json:"fsync"`
}

// MeasureFsync appends size bytes to a new file in dir and makes them durable, count times
// with fdatasync and count times with fsync, and removes the file. It ends early with ctx,
// with what it has. Where there is no fdatasync, both figures are of fsync.
func MeasureFsync(ctx context.Context, dir string, size, count int) (_ *FsyncResult, err error) {
	file, err := os.CreateTemp(dir, ".pxkv-fsync-*")
	if err != nil {
		return nil, fmt.Errorf("making a file to measure fsync with: %w", err)
	}
	defer func() {
		file.Close() // nothing in it is wanted
		if gone := os.Remove(file.Name()); err == nil && gone != nil {
			err = fmt.Errorf("removing the file that fsync was measured with: %w", gone)
		}
	}()
	result := &FsyncResult{Dir: dir, Size: size}
	record := make([]byte, size)
	for _, run := range []struct {
		sync func(*os.File) error
		into *Latencies
	}{{fdatasync, &result.Fdatasync}, {(*os.File).Sync, &result.Fsync}} {
		var h Histogram
		for i := 0; i < count && ctx.Err() == nil; i++ {
			begin := time.Now()
			if _, err := file.Write(record); err != nil {
				return nil, fmt.Errorf("measuring fsync: %w", err)
			}
			if err := run.sync(file); err != nil {
				return nil, fmt.Errorf("measuring fsync of %s: %w", file.Name(), err)
			}
			h.Record(time.Since(begin))
		}
		*run.into = summarize(&h)
	}
	return result, nil
}
