//go:build bug_gone_before_joint_left

package replica

const goneBeforeJointLeft = true
