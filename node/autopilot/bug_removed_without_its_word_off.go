//go:build !bug_removed_without_its_word

package autopilot

// removedWithoutItsWord plants a known bug, which the tests must find: a member that leaves is removed without having
// said that it has no replica any more.
const removedWithoutItsWord = false
