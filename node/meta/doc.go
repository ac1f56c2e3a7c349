// Package meta is the state machine of the meta group: who is a member of the cluster, and
// which replica of which partition is placed on which member. It is what every node must
// agree on before it moves a byte.
//
// Nouns: State (immutable once it is shared), Member, placement (per partition the replicas
// in ring order, the first is the preferred leader), Epoch (the placement's version),
// commands (Join, Start, SetState, Remove, Place), Result and Refusal.
//
// Callers: the node proposes encoded commands to the meta group, applies what was
// committed, publishes the resulting State to its readers, and persists State.Encode with
// the applied index. In this order:
//
//  1. Bootstrap makes the first State, on one node, once in a cluster's life; every other
//     node gets it by a snapshot (Decode) or by applying the same commands.
//  2. Propose only what an Encode method made; bytes that came from elsewhere pass Check
//     first. A committed command that a node does not understand stops that node.
//  3. Apply committed commands one by one in log order. An error from Apply means: stop this
//     node, its software is too old for the cluster. A command that is not acceptable in
//     the present state is no error but a Result with a Refusal, the same on every node.
//  4. Publish the new *State only after it is durable as far as the log is.
//
// State and its methods must not read a clock, random numbers, files or the network, must not iterate
// over a map where order can be seen, and must not decide by anything but the state and the
// command: all nodes must arrive at the same bytes. For the same reason it does not compute
// the placement: that is proposed as explicit rows, so that another version of the placement
// algorithm cannot move data by itself.
package meta
