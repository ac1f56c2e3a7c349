package state

import (
	"math"
	"reflect"
	"testing"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"pxkv/node/kv"
)

func TestAppliedSurvives(t *testing.T) {
	t.Parallel()
	for _, ap := range []Applied{
		{Conf: &raftpb.ConfState{}},
		{
			Index: math.MaxUint64, Term: 2, Revision: 3, TimeMS: -4, Hash: math.MaxUint64,
			Conf: &raftpb.ConfState{Voters: []uint64{1, 2}, Learners: []uint64{3}, VotersOutgoing: []uint64{4},
				LearnersNext: []uint64{5}, AutoLeave: proto.Bool(true)},
			Replicas: []kv.Replica{{ID: 1, Node: math.MaxUint64}, {ID: 2, Node: 7}},
		},
	} {
		b := ap.AppendTo(nil)
		got, err := DecodeApplied(b)
		if err != nil || !proto.Equal(got.Conf, ap.Conf) {
			t.Fatalf("%v became %v, %v", ap, got, err)
		}
		got.Conf = ap.Conf
		if !reflect.DeepEqual(got, ap) {
			t.Errorf("%v became %v", ap, got)
		}
		for i := range b {
			if _, err := DecodeApplied(b[:i]); err == nil {
				t.Errorf("cut after %d bytes, and nobody noticed", i)
			}
		}
		if _, err := DecodeApplied(append(b, 0)); err == nil {
			t.Error("a byte too many, and nobody noticed")
		}
	}
}

func FuzzDecodeApplied(f *testing.F) {
	f.Add(Applied{Index: 1}.AppendTo(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		if ap, err := DecodeApplied(b); err == nil {
			if _, err := DecodeApplied(ap.AppendTo(nil)); err != nil {
				t.Fatal(err)
			}
		}
	})
}
