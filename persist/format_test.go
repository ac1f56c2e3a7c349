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
	"pxkv/persist/wal"
)

//go:embed FORMAT.md
var formatText string

// golden is what the code writes for the examples in FORMAT.md.
func golden(t *testing.T) map[string][]byte {
	e := entry(5, 3, "hello")
	encoded := make([]byte, entrySize(e))
	putEntry(encoded, 2, e)
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
	expiring := streamOf(t, db, 2) // drains
	expiryValue, _, err := db.getCopy(expiryKey)
	must(t, err)
	format, _, err := db.getCopy(formatKey)
	must(t, err)
	must(t, db.SaveIdentity(Identity{Node: 0xa1, Name: "n1", Cluster: 0xc1, ClusterName: "pxkv", Starts: 2, MetaReplica: 7}))
	must(t, db.Close())
	empty := vfs.NewMem()
	db = openTest(t, empty)
	b = db.NewBatch() // a checkpoint of nothing
	must(t, b.Commit())
	must(t, db.Close())
	segment := readFile(t, empty, "node/log/0000000000000001.log")

	all := goldenOps(t)
	for name, b := range map[string][]byte{
		"format-key":       formatKey,
		"format-value":     format,
		"applied-key":      kindKey(2, kindApplied),
		"applied-value":    appendAppliedRecord(nil, 7, &ap),
		"entry":            encoded,
		"data-key":         appendDataKey(nil, 2, []byte("user:1")),
		"data-value":       rec.AppendTo(nil),
		"data-value-plain": stringRecord("v", 1).AppendTo(nil),
		"expiry-key":       expiryKey,
		"expiry-value":     expiryValue,
		"snapshot-expiry":  expiring[bytes.Index(expiring, expiryKey[kindPrefixLen:])-6:][:6+len(expiryKey)-kindPrefixLen],
		"meta-data-key":    appendDataKey(nil, kv.Meta, []byte("x")),
		"log-segment":      segment,
		"snapshot":         stream,
	} {
		all[name] = b
	}
	return all
}

// goldenOps is one record for each operation of the log, without its header.
func goldenOps(t *testing.T) map[string][]byte {
	db := openTest(t, vfs.NewMem())
	ops := map[string][]byte{}
	for name, fill := range map[string]func(*Batch){
		"op-checkpoint": func(b *Batch) { b.op(opCheckpoint, 0, true); b.uvarints(1, 1) },
		"op-tombstone":  func(b *Batch) { b.op(opTombstone, 2, true); b.uvarints(300) },
		"op-replica":    func(b *Batch) { b.op(opReplica, 2, true); b.uvarints(7, 3, 7, 300, 200, 2, 301) },
		"op-create": func(b *Batch) {
			b.op(opCreate, 2, true)
			b.uvarints(7)
			b.bytes(Applied{Index: 1, Term: 1}.appendTo(nil))
		},
		"op-put": func(b *Batch) {
			b.op(opPut, 2, true)
			b.bytes([]byte("k"))
			b.bytes(stringRecord("v", 1).AppendTo(nil))
		},
		"op-append":     func(b *Batch) { b.op(opAppend, 2, true); b.entry(2, entry(5, 3, "hello")) },
		"op-move":       func(b *Batch) { b.op(opMove, 2, true); b.entry(2, entry(5, 3, "hello")) },
		"op-hard-state": func(b *Batch) { b.op(opHardState, 2, true); b.hardState(hardState{3, 7, 300}) },
		"op-truncate":   func(b *Batch) { b.op(opTruncate, 2, true); b.entryID(entryID{300, 3}) },
		"op-install":    func(b *Batch) { b.op(opInstall, 2, true); b.uvarints(4, 3, 7, 300, 300, 3) },
		"op-destroy":    func(b *Batch) { b.op(opDestroy, 2, true); b.uvarints(7) },
	} {
		b := &Batch{db: db}
		fill(b)
		ops[name] = b.buf[wal.HeaderLen+1:] // behind the version
	}
	must(t, db.Close())
	return ops
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
	for _, v := range []int{identityFormat, keyspaceFormat - 1, logFormat, recordFormat, entryFormat, appliedFormat, appliedRecordFormat, streamFormat, expiryFormat} {
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
