//go:build bug_empty_page_is_last

package node

const emptyPageIsLast = true // see bug_empty_page_is_last_off.go
