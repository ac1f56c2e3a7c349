//go:build !bug_delete_refused_when_full

package data

// deleteRefusedWhenFull plants a known bug, which the test harnesses must find: a full disk takes no
// deletion either.
const deleteRefusedWhenFull = false
