//go:build !bug_put_off_forgotten

package replica

// putOffForgotten plants a known bug, which the simulation must find: what an entry put off is answered as if it
// were done.
const putOffForgotten = false
