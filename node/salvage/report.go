package salvage

import (
	"fmt"
	"strings"

	"pxkv/node/kv"
)

// Place is a copy of a partition.
type Place struct {
	Partition kv.PartitionID
	Dir       string
}

// Report is what was found. Partitions are in order.
type Report struct {
	Missing []kv.PartitionID // no copy that can be believed is here
	Short   []kv.PartitionID // fewer than a majority of the voters are: acknowledged writes may be missing
	Behind  []kv.PartitionID // acknowledged writes are missing: no state here comes up to the newest log
	Differ  []kv.PartitionID // copies differ, and it is not known which is right
	Void    []Place          // known to be wrong, or given up; not used
	Wrong   []Place          // differ from a majority; not used
	Stale   []string         // directories that are of an earlier start than others know of
	// Log entries that are not known to be committed. Elected were taken, since a majority is here, and an election
	// would commit them; of the others LeftOut were not, and Taken were, since that was asked for.
	Elected, LeftOut, Taken uint64
}

// Report tells what was found.
func (s *Salvage) Report() Report {
	r := s.report
	for _, d := range s.dirs {
		if d.stale {
			r.Stale = append(r.Stale, d.name)
		}
	}
	return r
}

// Whole reports whether all that was ever acknowledged is here, and it is known what is right.
func (r *Report) Whole() bool {
	return len(r.Missing)+len(r.Short)+len(r.Behind)+len(r.Differ) == 0
}

// Lines tell it to an operator: first what may be missing.
func (r *Report) Lines() (lines []string) {
	add := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	if len(r.Missing) > 0 {
		add("all of %s is missing: no directory has a copy of it that can be believed", ranges(r.Missing))
	}
	if len(r.Short) > 0 {
		add("acknowledged writes of %s may be missing: fewer than a majority of its copies are in the directories",
			ranges(r.Short))
	}
	if len(r.Behind) > 0 {
		add("acknowledged writes of %s are missing: the only copy that has them is known to be wrong", ranges(r.Behind))
	}
	if len(r.Differ) > 0 {
		add("the copies of %s differ, and it is not known which is right: one that most agree with was taken",
			ranges(r.Differ))
	}
	if r.LeftOut > 0 {
		add("%d log entries were left out: they are not known to be committed, but may have been acknowledged "+
			"(--with-uncommitted takes them)", r.LeftOut)
	}
	if r.Taken > 0 {
		add("%d log entries were taken that are not known to be committed: their writes may have been acknowledged, "+
			"or refused", r.Taken)
	}
	if r.Elected > 0 {
		add("%d log entries were taken as an election among these nodes would take them: their writes were "+
			"acknowledged, or have an unknown outcome", r.Elected)
	}
	for _, dir := range r.Stale {
		add("%s is an older copy of its directory, or of an earlier start: it does not count for a majority", dir)
	}
	for _, at := range r.Void {
		add("the copy of partition %s in %s was not used: it is known to be wrong, or was given up", at.Partition,
			at.Dir)
	}
	for _, at := range r.Wrong {
		add("the copy of partition %s in %s was not used: it differs from a majority", at.Partition, at.Dir)
	}
	return lines
}

// ranges names partitions, which are in order: partitions 1, 3-5.
func ranges(all []kv.PartitionID) string {
	var parts []string
	for i := 0; i < len(all); {
		j := i
		for j+1 < len(all) && all[j+1] == all[j]+1 {
			j++
		}
		if i == j {
			parts = append(parts, all[i].String())
		} else {
			parts = append(parts, all[i].String()+"-"+all[j].String())
		}
		i = j + 1
	}
	word := "partition "
	if len(all) > 1 {
		word = "partitions "
	}
	return word + strings.Join(parts, ", ")
}
