//go:build !bug_memory_answers_as_former

package core

const memoryAnswersAsFormer = false
