//go:build !bug_room_given_twice

package node

// roomGivenTwice plants a known bug, which the tests must find: the room for what a unit returns is given back when
// another node answers that it failed, and again by who took it.
const roomGivenTwice = false
