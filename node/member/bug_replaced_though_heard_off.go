//go:build !bug_replaced_though_heard

package member

const replacedThoughHeard = false
