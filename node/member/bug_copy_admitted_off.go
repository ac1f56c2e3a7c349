//go:build !bug_copy_admitted

package member

const copyAdmitted = false
