//go:build !bug_empty_page_is_last

package node

// emptyPageIsLast plants a known bug, which the test harnesses must find: a page in which a filter left nothing is
// taken for the last one.
const emptyPageIsLast = false
