//go:build bug_places_for_all

package rpc

const placesForAll = true
