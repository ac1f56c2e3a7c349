//go:build !linux

package socket

const corks = false
