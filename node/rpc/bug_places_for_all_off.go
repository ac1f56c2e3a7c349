//go:build !bug_places_for_all

package rpc

// placesForAll plants a known bug, which the tests must find: whoever asks another node is told that there is room for
// an answer of any length, as if nobody else asked.
const placesForAll = false
