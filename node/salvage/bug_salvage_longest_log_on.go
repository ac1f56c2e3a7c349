//go:build bug_salvage_longest_log

package salvage

const salvageLongestLog = true
