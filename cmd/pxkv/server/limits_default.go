//go:build !tinylimits

package server

import (
	"pxkv/node"
	"pxkv/node/replica"
	"pxkv/persist"
	"pxkv/transport/peer"
	"pxkv/transport/resp"
)

// longestAnswer is what one message between nodes holds in bytes. A node relies on that of the others
// before it asks for values: it is the same in a whole cluster.
const longestAnswer = 32 << 20

// packLeast is how long a value is at least that is compressed: the default of package pack.
const packLeast = 0

// Limits at which the parts of a node cut work into pieces: their defaults, but with the build tag
// tinylimits. The door for HTTP has none: its limits refuse.
var (
	nodeLimits    node.Limits
	replicaLimits replica.Limits
	storeLimits   persist.Limits
	respLimits    resp.Limits
	peerLimits    peer.Options // only what bounds queues and pieces
)
