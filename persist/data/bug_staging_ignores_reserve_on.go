//go:build bug_staging_ignores_reserve

package data

const stagingIgnoresReserve = true
