package data

import "pxkv/node/kv"

// EstimateBytes is about how many bytes the state of p has on disk, compressed as it is there: whole tables and a
// share of those that have other partitions as well, and what waits to be written. What only the memtables have is not
// counted. It may read an index of a table, and takes some microseconds else. 0 where p has nothing here.
func (s *Store) EstimateBytes(p kv.PartitionID) int64 {
	if !s.disk.IsOpen() {
		return 0
	}
	start, end := partitionRange(p)
	tables, err := s.pebble.EstimateDiskUsage(start, end)
	if err != nil {
		tables = 0 // it is an estimate; who reads the state meets the error
	}
	n := int64(tables)
	if b := s.bufferOf(p); b != nil {
		n += b.bytes.Load()
	}
	return n
}
