//go:build bug_memory_answers_as_former

package core

// memoryAnswersAsFormer gives a node in memory the same id at each start.
const memoryAnswersAsFormer = true
