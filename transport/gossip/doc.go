// Package gossip tells who is there, at which addresses, and hints at the newest epoch. It
// wraps hashicorp/memberlist: each node says a few words about itself (Meta), every other
// node hears them within a second or so, and a node that fell silent is missed within a few.
//
// Nouns: Gossip is this node's ear and mouth. A Peer is another node of the same cluster, or
// a fresh one that is in no cluster yet. A stranger is a node of another cluster: it is
// refused. Join addresses and member addresses are where peers are looked for, for ever,
// since memberlist forgets the dead after half a minute. A Place is what a join address leads to,
// and who answers there: that is no hearsay (Look).
//
// Callers: cmd/pxkv/server builds it, node reads it and calls SetMeta and SetMembers. In order:
// New, Listen if it is to be known early whether that can be done, Run in a goroutine of its own,
// wait for Started, use it, cancel Run's context, wait for Run. All other methods may be called at
// any time and by any goroutine.
//
// What it says is a hint and may be wrong in every way: late, out of date, alive although
// dead, dead although alive. It never moves data, never decides who is a member, and proves
// nobody's identity: node to node connections do that themselves. It must not import
// anything of this module but node/kv.
//
// Run waits for every goroutine of this package, and when it has returned all sockets and
// connections are closed. A few of memberlist's own goroutines, which no one can wait for,
// end within two seconds after that; they no longer reach this package's callers.
package gossip
