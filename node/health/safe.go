package health

import (
	"pxkv/node/kv"
	"pxkv/node/meta"
)

// Safe says whether every group would be served without the member of a name. That nobody has this name is an error,
// and so is that a leader knows a newer placement: the name may be another node's there, as after a restart of one that
// keeps everything in memory.
func Safe(s *meta.State, reports map[kv.PartitionID]Report, name string) (kv.SafeView, *kv.Error) {
	verdict := Judge(s, reports)
	if verdict.Outdated != "" {
		return kv.SafeView{}, kv.Errorf(kv.Unavailable, "%s: ask again, or another node", verdict.Outdated)
	}
	for _, m := range s.Members {
		if m.Name != name {
			continue
		}
		needs := verdict.Needs[m.ID]
		v := kv.SafeView{Node: name, Safe: len(needs) == 0, Partitions: []kv.PartitionID{}}
		for _, p := range needs {
			if p == kv.Meta {
				v.Meta = true
			} else {
				v.Partitions = append(v.Partitions, p)
			}
		}
		return v, nil
	}
	return kv.SafeView{}, kv.Errorf(kv.Invalid, "no member is named %q: pxkv members lists them", name)
}
