//go:build !bug_install_on_the_turn

package disk

// installOnTheTurn plants a known bug, which the test harnesses must find: a turn hands effects on to
// Pebble itself, and waits when it is busy.
const installOnTheTurn = false
