package member

import (
	"errors"
	"testing"

	"pxkv/node/meta"
)

func TestFinalRefusalsEndTheNode(t *testing.T) {
	t.Parallel()
	for code, final := range map[meta.Code]bool{
		meta.Removed: true, meta.Behind: true, meta.Copied: true, meta.UnknownMember: true, meta.Invalid: true,
		meta.NameInUse: false, meta.Full: false, meta.Stale: false,
	} {
		wait, err := Judge(meta.Result{Refused: &meta.Refusal{Code: code, Text: "why"}})
		if errors.Is(err, ErrRefused) != final || (wait == "why") == final {
			t.Errorf("%s: wait %q, %v", code, wait, err)
		}
	}
	if wait, err := Judge(meta.Result{}); wait != "" || err != nil {
		t.Errorf("accepted: wait %q, %v", wait, err)
	}
}
