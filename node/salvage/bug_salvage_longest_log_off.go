//go:build !bug_salvage_longest_log

package salvage

// salvageLongestLog plants a known bug, which the test harnesses must find:
// of the copies of a partition the longest log is taken, whatever its last term is.
const salvageLongestLog = false
