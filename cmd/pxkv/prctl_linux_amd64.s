#include "textflag.h"

// prctlHandler is the signal handler of prctlOn. It is called by the kernel on any thread, so
// it uses no Go stack and keeps to registers, all of which the kernel restores.
TEXT ·prctlHandler(SB), NOSPLIT|NOFRAME, $0-0
	MOVQ ·prctlOption(SB), DI
	MOVQ ·prctlArgument(SB), SI
	XORL DX, DX
	XORL R10, R10
	XORL R8, R8
	MOVL $157, AX // prctl
	SYSCALL
	MOVQ AX, ·prctlResult(SB)
	MOVL $1, AX
	XCHGL AX, ·prctlDone(SB)
	RET

// func prctlHandlerAddress() uintptr
TEXT ·prctlHandlerAddress(SB), NOSPLIT, $0-8
	LEAQ ·prctlHandler(SB), AX
	MOVQ AX, ret+0(FP)
	RET
