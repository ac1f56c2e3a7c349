package persist

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.etcd.io/raft/v3/raftpb"

	"pxkv/node/kv"
	"pxkv/persist/crypt"
	"pxkv/persist/raftlog"
	"pxkv/persist/state"
)

const benchGroups = 64

func openBench(b *testing.B, keys ...crypt.Key) (*DB, []*raftlog.Replica) {
	b.Helper()
	db, err := Open(Options{Dir: b.TempDir(), Keys: keysOf(keys...)})
	must(b, err)
	b.Cleanup(func() { must(b, db.Close()) })
	var replicas []*raftlog.Replica
	for p := range kv.PartitionID(benchGroups) {
		replicas = append(replicas, bootstrap(b, db, p, 1))
	}
	return db, replicas
}

// BenchmarkBatchCommit is one turn: an entry of 300 bytes and a commit index for each of 64
// groups, and one fsync on the real disk.
func BenchmarkBatchCommit(b *testing.B) { benchBatchCommit(b) }

// BenchmarkBatchCommitEncrypted is the same on an encrypted disk.
func BenchmarkBatchCommitEncrypted(b *testing.B) { benchBatchCommit(b, crypt.NewKey()) }

func benchBatchCommit(b *testing.B, keys ...crypt.Key) {
	db, replicas := openBench(b, keys...)
	data := make([]byte, 300)
	b.ReportAllocs()
	index := uint64(1)
	for b.Loop() {
		index++
		batch := db.NewBatch()
		for _, r := range replicas {
			batch.SetHardState(r, raftHardState(hardState{1, 1, index - 1}))
			batch.Append(r, []*raftpb.Entry{newEntry(index, 1, data)})
		}
		must(b, batch.Commit())
	}
}

// BenchmarkApply is the effects of one turn: a put of 256 bytes in each of 64 partitions.
func BenchmarkApply(b *testing.B) {
	db, replicas := openBench(b)
	rec := stringRecord(string(make([]byte, 256)), 1)
	conf := &raftpb.ConfState{Voters: []uint64{1, 2, 3}}
	where := []kv.Replica{{ID: 1, Node: 1}, {ID: 2, Node: 2}, {ID: 3, Node: 3}}
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		a := db.NewApply()
		for _, r := range replicas {
			n++
			a.Put(r.Partition(), fmt.Appendf(nil, "key%05d", n*7919%10000), rec)
			a.SetApplied(r, state.Applied{Index: uint64(n), Term: 1, Conf: conf, Replicas: where})
		}
		must(b, a.Commit())
	}
}

// BenchmarkGet reads keys that are there, of 256 bytes.
func BenchmarkGet(b *testing.B) {
	db, replicas := openBench(b)
	const keys = 10000
	var all [][]byte
	a := db.NewApply()
	for i := range keys {
		key := fmt.Appendf(nil, "key%05d", i)
		all = append(all, key)
		a.Put(replicas[i%benchGroups].Partition(), key, stringRecord(string(make([]byte, 256)), 1))
	}
	must(b, a.Commit())
	db.WantFlush()
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		_, ok, err := db.Get(replicas[i%benchGroups].Partition(), all[i])
		if !ok || err != nil {
			b.Fatal(ok, err)
		}
		i = (i + 1) % keys
	}
}

// BenchmarkOpenLight is what a simulation pays for each start of a node.
func BenchmarkOpenLight(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		db := openTest(b, vfs.NewCrashableMem())
		must(b, db.Close())
	}
}

// BenchmarkSnapshot is a partition of 2 MiB that is read as a stream, and the stream that is staged. cpu-ns is what all
// threads used.
func BenchmarkSnapshot(b *testing.B) {
	db, replicas := openBench(b)
	random := rand.New(rand.NewPCG(1, 2))
	value := make([]byte, 16<<10)
	a, r := db.NewApply(), replicas[3]
	for n := range 128 {
		for i := range value {
			value[i] = byte(random.Uint32())
		}
		a.Put(r.Partition(), fmt.Appendf(nil, "key%05d", n), stringRecord(string(value), uint64(n+1)))
	}
	a.SetApplied(r, state.Applied{Index: 128, Term: 1, Conf: &raftpb.ConfState{Voters: []uint64{1}},
		Replicas: []kv.Replica{{ID: 1, Node: 1}}})
	must(b, a.Commit())
	must(b, db.Flush())
	b.SetBytes(2 << 20)
	b.ReportAllocs()
	before := processorTime()
	for b.Loop() {
		from, to := io.Pipe()
		sent := make(chan error, 1)
		go func() {
			snapshot, err := db.OpenSnapshot(r.Partition())
			if err == nil {
				_, err = snapshot.WriteTo(to)
				err = errors.Join(err, snapshot.Close())
			}
			sent <- err
		}()
		staged, err := db.StageSnapshot(r.Partition(), from)
		must(b, errors.Join(err, <-sent))
		staged.Discard()
	}
	b.ReportMetric(float64(processorTime()-before)/float64(b.N), "cpu-ns/op")
}

func processorTime() int64 {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return u.Utime.Nano() + u.Stime.Nano()
}
