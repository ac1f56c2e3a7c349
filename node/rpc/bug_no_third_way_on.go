//go:build bug_no_third_way

package rpc

const noThirdWay = true
