//go:build !bug_gone_before_joint_left

package replica

// goneBeforeJointLeft plants a known bug, which the tests must find: a replica that is about to go is deleted before
// the joint configuration that still counts it is left.
const goneBeforeJointLeft = false
