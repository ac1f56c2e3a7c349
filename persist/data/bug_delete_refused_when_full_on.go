//go:build bug_delete_refused_when_full

package data

const deleteRefusedWhenFull = true
