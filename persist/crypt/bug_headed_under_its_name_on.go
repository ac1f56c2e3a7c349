//go:build bug_headed_under_its_name

package crypt

const headedUnderItsName = true
