//go:build !bug_replaced_without_majority

package member

const replacedWithoutMajority = false
