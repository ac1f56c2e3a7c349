package member

import "pxkv/persist"

// Start is the identity with which a process starts, from the one that it found: one start more,
// and what can be told from where it was found. It must be on disk before the process speaks to
// anybody.
//
// A directory that is not where it was written is a copy, or was moved. After an orderly end it
// promises nothing that is not in it. Else the process went on after it was copied, or may have,
// and nobody can tell what it has promised since. Once found, this stays until Settled: a copy that
// was refused is refused again.
func Start(id persist.Identity) persist.Identity {
	if id.Moved && !copyAdmitted {
		id.Elsewhere, id.Copy = true, id.Copy || !id.Stopped
	}
	id.Starts++
	id.Stopped = false
	return id
}

// Cloned reports whether a directory is that of a node which was started once, in no cluster yet, and
// then copied or moved: an image of a machine, say. Whoever starts there is somebody else. All clones
// would be one node by its id, and each would take the others' addresses for its own.
func Cloned(id persist.Identity, replicas int) bool {
	return id.Moved && id.Cluster == 0 && replicas == 0
}

// Settled is the identity of a node that the cluster has taken as it is. It reports whether that
// changes anything.
func Settled(id persist.Identity) (persist.Identity, bool) {
	changed := id.Elsewhere || id.Copy
	id.Elsewhere, id.Copy = false, false
	return id, changed
}
