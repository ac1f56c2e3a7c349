//go:build !bug_order_unconfirmed

package node

// orderUnconfirmed plants a known bug, which the tests must find: whoever believes that it leads answers an order from
// what it knows, though others may lead by now.
const orderUnconfirmed = false
