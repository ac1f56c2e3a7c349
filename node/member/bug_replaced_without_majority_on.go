//go:build bug_replaced_without_majority

package member

// replacedWithoutMajority gives a member up although a group needs its vote.
const replacedWithoutMajority = true
