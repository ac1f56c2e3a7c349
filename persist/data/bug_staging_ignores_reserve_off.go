//go:build !bug_staging_ignores_reserve

package data

// stagingIgnoresReserve plants a known bug, which the test harnesses must find: incoming snapshots fill
// the disk to the last byte.
const stagingIgnoresReserve = false
