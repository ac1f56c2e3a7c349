//go:build !bug_promise_forgotten

package member

const promiseForgotten = false
