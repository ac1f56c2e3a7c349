//go:build bug_behind_one_a_turn

package data

const bufferOneATurn = true
