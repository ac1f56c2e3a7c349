package persist

import (
	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/sys/unix"
)

// placeOf asks the kernel. A file in memory has no descriptor, and no place.
func placeOf(f vfs.File) Place {
	fd := f.Fd()
	if fd == vfs.InvalidFd {
		return Place{}
	}
	var st unix.Statx_t
	if err := unix.Statx(int(fd), "", unix.AT_EMPTY_PATH, unix.STATX_INO|unix.STATX_BTIME, &st); err != nil ||
		st.Mask&unix.STATX_BTIME == 0 {
		return Place{}
	}
	return Place{Inode: st.Ino, Born: st.Btime.Sec*1e9 + int64(st.Btime.Nsec)}
}
