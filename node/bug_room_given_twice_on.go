//go:build bug_room_given_twice

package node

const roomGivenTwice = true
