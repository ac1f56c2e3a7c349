package health

import (
	"strings"
	"testing"

	"pxkv/node/kv"
)

func TestSafe(t *testing.T) {
	t.Parallel()
	s := three()
	rs := well(s)
	if v, err := Safe(s, rs, "n1"); err != nil || !v.Safe || v.Node != "n1" {
		t.Errorf("%+v %v", v, err)
	}
	if _, err := Safe(s, rs, "n9"); err == nil || err.Kind != kv.Invalid {
		t.Error(err)
	}

	// n1 was replaced by a new node of its name, of which the node that is asked has not heard, and n3 is down.
	for p, r := range rs {
		r.Epoch = s.Epoch + 1
		r.Replicas[0].Node, r.Replicas[2].Answers = 9, false
		rs[p] = r
	}
	if v, err := Safe(s, rs, "n1"); err == nil || err.Kind != kv.Unavailable || !strings.Contains(err.Text, "epoch") {
		t.Errorf("of a node that it does not know: %+v %v", v, err)
	}
	s.Epoch++
	s.Members[0].ID = 9
	if v, err := Safe(s, rs, "n1"); err != nil || v.Safe || len(v.Partitions) != 2 || !v.Meta {
		t.Errorf("of one that is needed: %+v %v", v, err)
	}
}
