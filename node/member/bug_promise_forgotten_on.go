//go:build bug_promise_forgotten

package member

// promiseForgotten lets a fresh node that starts again forget what it has promised.
const promiseForgotten = true
