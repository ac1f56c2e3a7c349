//go:build bug_order_unconfirmed

package node

const orderUnconfirmed = true
