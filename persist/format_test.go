package persist

import (
	"bytes"
	_ "embed"
	"encoding/hex"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"pxkv/node/kv"
)

//go:embed FORMAT.md
var formatText string

// golden is what the code writes for the examples in FORMAT.md.
func golden(t *testing.T) map[string][]byte {
	e := entry(5, 3, "hello")
	encoded := make([]byte, entrySize(e))
	putEntry(encoded, logKey(2, 5), e)
	ap := Applied{
		Index: 300, Term: 3, Revision: 40, TimeMS: 1000, Hash: 0x0102030405060708,
		Conf:     &raftpb.ConfState{Voters: []uint64{7, 9}, Learners: []uint64{12}, VotersOutgoing: []uint64{7}, LearnersNext: nil, AutoLeave: proto.Bool(true)},
		Replicas: []kv.Replica{{ID: 7, Node: 0xa1}, {ID: 9, Node: 0xa2}, {ID: 12, Node: 0xa3}},
	}
	rec := Record{Value: kv.Value{Kind: kv.JSON, ContentType: "a/b", Data: []byte("{}")}, Version: 300, ModifiedMS: 1000, DeadlineMS: 2000}

	db := openTest(t, vfs.NewMem())
	b := db.NewBatch()
	b.Create(2, 7, &Applied{Index: 1, Term: 1})
	must(t, b.Commit())
	a := db.NewApply()
	a.Put(2, []byte("k"), stringRecord("v", 1))
	must(t, a.Commit())
	stream := streamOf(t, db, 2)
	expiryKey := appendExpiryKey(nil, 2, rec.DeadlineMS, []byte("user:1"))
	a = db.NewApply()
	a.Put(2, []byte("user:1"), rec)
	must(t, a.Commit())
	expiryValue, _, err := db.getCopy(expiryKey)
	must(t, err)
	format, _, err := db.getCopy(formatKey)
	must(t, err)
	mark := db.pebble.NewBatch()
	must(t, walMark{6, 5}.writeTo(mark))
	markBytes := bytes.Clone(mark.Repr()[len(mark.Repr())-walMarkSuffix:])
	must(t, mark.Close())
	must(t, db.SaveIdentity(Identity{Node: 0xa1, Name: "n1", Cluster: 0xc1, ClusterName: "pxkv", Starts: 2, MetaReplica: 7}))
	must(t, db.Close())

	return map[string][]byte{
		"format-key":       formatKey,
		"format-value":     format,
		"tombstone-key":    tombstoneKey(2),
		"tombstone-value":  encodeTombstone(300),
		"replica-key":      kindKey(2, kindReplica),
		"replica-value":    encodeReplica(7),
		"hard-state-key":   kindKey(2, kindHardState),
		"hard-state-value": hardState{3, 7, 300}.encode(),
		"truncated-key":    kindKey(2, kindTruncated),
		"truncated-value":  entryID{300, 3}.encode(),
		"applied-key":      kindKey(2, kindApplied),
		"applied-value":    ap.appendTo(nil),
		"log-key":          logKey(2, 5),
		"log-value":        encoded,
		"data-key":         appendDataKey(nil, 2, []byte("user:1")),
		"data-value":       rec.AppendTo(nil),
		"data-value-plain": stringRecord("v", 1).AppendTo(nil),
		"expiry-key":       expiryKey,
		"expiry-value":     expiryValue,
		"meta-data-key":    appendDataKey(nil, kv.Meta, []byte("x")),
		"wal-mark":         markBytes,
		"snapshot":         stream,
	}
}

// TestFormat holds FORMAT.md to the code: each example in it, byte by byte.
func TestFormat(t *testing.T) {
	t.Parallel()
	written := map[string][]byte{}
	for line := range strings.Lines(formatText) {
		name, digits, ok := strings.Cut(strings.TrimSpace(line), " = ")
		if !ok || !strings.HasPrefix(line, "    ") {
			continue
		}
		b, err := hex.DecodeString(strings.ReplaceAll(digits, " ", ""))
		if err != nil {
			t.Errorf("FORMAT.md: %s is no hexadecimal: %v", name, err)
		}
		written[name] = append(written[name], b...)
	}
	code := golden(t)
	for _, name := range slices.Sorted(maps.Keys(code)) {
		if !bytes.Equal(written[name], code[name]) {
			t.Errorf("FORMAT.md has\n    %s = % x\nthe code writes\n    %s = % x", name, written[name], name, code[name])
		}
		delete(written, name)
	}
	for name := range written {
		t.Errorf("FORMAT.md has an example %s that no test knows", name)
	}
}

// TestIdentityFormat holds the example of identity.json to the code.
func TestIdentityFormat(t *testing.T) {
	t.Parallel()
	_, after, _ := strings.Cut(formatText, "```json\n")
	text, _, ok := strings.Cut(after, "```")
	if !ok {
		t.Fatal("FORMAT.md has no example of identity.json")
	}
	fs := vfs.NewMem()
	db := openTest(t, fs)
	must(t, db.SaveIdentity(Identity{Node: 0xa1, Name: "n1", Cluster: 0xc1, ClusterName: "pxkv", Starts: 2, MetaReplica: 7}))
	must(t, db.Close())
	if got := string(readFile(t, fs, "node/identity.json")); got != text {
		t.Errorf("FORMAT.md has\n%s\nthe code writes\n%s", text, got)
	}
}

// TestPinnedVersions are decisions: raising one makes data that older versions cannot read.
func TestPinnedVersions(t *testing.T) {
	t.Parallel()
	if pebbleFormat != 21 {
		t.Errorf("Pebble's format is %d", pebbleFormat)
	}
	for _, v := range []int{identityFormat, keyspaceFormat, recordFormat, entryFormat, replicaFormat, hardStateFormat, truncatedFormat, appliedFormat, tombstoneFormat, streamFormat, expiryFormat} {
		if v != 1 {
			t.Errorf("a format version is %d: does FORMAT.md say how the older one is read?", v)
		}
	}
	fs := vfs.NewMem()
	must(t, openTest(t, fs).Close())
	names, err := fs.List("node/db")
	must(t, err)
	if !slices.ContainsFunc(names, func(n string) bool { return strings.HasSuffix(n, ".021") }) {
		t.Errorf("the directory has %v", names)
	}
}
