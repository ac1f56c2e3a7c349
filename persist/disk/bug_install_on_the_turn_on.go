//go:build bug_install_on_the_turn

package disk

const installOnTheTurn = true
