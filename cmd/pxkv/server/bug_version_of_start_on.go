//go:build bug_version_of_start

package server

const versionOfStart = true
