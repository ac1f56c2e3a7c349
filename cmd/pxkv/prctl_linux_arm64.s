#include "textflag.h"

// prctlHandler is the signal handler of prctlOn. It is called by the kernel on any thread, so
// it uses no Go stack and keeps to registers, all of which the kernel restores.
TEXT ·prctlHandler(SB), NOSPLIT|NOFRAME, $0-0
	MOVD ·prctlOption(SB), R0
	MOVD ·prctlArgument(SB), R1
	MOVD ZR, R2
	MOVD ZR, R3
	MOVD ZR, R4
	MOVD $167, R8 // prctl
	SVC
	MOVD R0, ·prctlResult(SB)
	MOVD $·prctlDone(SB), R1
	MOVW $1, R0
	STLRW R0, (R1)
	RET

// func prctlHandlerAddress() uintptr
TEXT ·prctlHandlerAddress(SB), NOSPLIT, $0-8
	MOVD $·prctlHandler(SB), R0
	MOVD R0, ret+0(FP)
	RET
