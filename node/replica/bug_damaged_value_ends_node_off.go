//go:build !bug_damaged_value_ends_node

package replica

// damagedValueEndsNode plants a known bug, which the test harnesses must find: an entry that needs a value which is
// damaged here ends the node, at each of its starts.
const damagedValueEndsNode = false
