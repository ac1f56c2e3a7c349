//go:build bug_damaged_value_ends_node

package replica

const damagedValueEndsNode = true
