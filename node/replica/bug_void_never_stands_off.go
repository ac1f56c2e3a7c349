//go:build !bug_void_never_stands

package replica

// voidNeverStands plants a known bug, which the simulation must find: a void replica is never elected, also where
// nobody else can be.
const voidNeverStands = false
