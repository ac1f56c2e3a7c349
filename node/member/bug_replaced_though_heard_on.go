//go:build bug_replaced_though_heard

package member

// replacedThoughHeard gives a member up that others hear.
const replacedThoughHeard = true
