//go:build !bug_version_of_start

package server

// versionOfStart plants a known bug, which the tests must find: a node goes on saying that it writes what it wrote when
// its process started, before its cluster had a version or had the one that it has now. So nodes of an older release
// are not refused, become members, and then cannot go on.
const versionOfStart = false
