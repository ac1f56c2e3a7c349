//go:build bug_copy_admitted

package member

// copyAdmitted believes a directory wherever it is found.
const copyAdmitted = true
