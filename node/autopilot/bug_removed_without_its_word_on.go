//go:build bug_removed_without_its_word

package autopilot

const removedWithoutItsWord = true
