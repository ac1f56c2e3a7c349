package resp

import (
	"fmt"
	"net"
	"strconv"
	"strings"

	"pxkv/node/kv"
	"pxkv/ring"
)

// clusterNode is a member as Redis Cluster clients see one: a master of the slots whose
// partitions it leads. There are no replicas in this picture, since any node answers any key.
type clusterNode struct {
	id        string
	host      string
	port      int
	peerPort  int
	myself    bool
	reachable bool
	slots     [][2]int // first and last, in order, neighbours joined
}

// clusterNodes is the cluster of the moment. Slots without a leader that clients can reach are
// shown as this node's own, which passes on whatever it is asked.
func (s *Server) clusterNodes() (nodes []*clusterNode, view kv.ClusterView) {
	view = s.service.Cluster()
	byName := map[string]*clusterNode{}
	var myself *clusterNode
	for i := range view.Members {
		m := &view.Members[i]
		n := &clusterNode{id: redisID(m.ID), reachable: m.Reachable, myself: m.Name == view.Node}
		host, port, err := net.SplitHostPort(m.Addresses.RESP)
		if err != nil {
			continue
		}
		n.host = host
		n.port, _ = strconv.Atoi(port)
		_, port, _ = net.SplitHostPort(m.Addresses.Peer)
		n.peerPort, _ = strconv.Atoi(port)
		if n.myself {
			myself = n
		}
		nodes = append(nodes, n)
		byName[m.Name] = n
	}
	for _, p := range s.service.Partitions() {
		n := byName[p.Leader]
		if n == nil || !n.reachable {
			n = myself
		}
		if n == nil {
			continue
		}
		if last := len(n.slots) - 1; last >= 0 && n.slots[last][1]+1 == p.Slots[0] {
			n.slots[last][1] = p.Slots[1]
		} else {
			n.slots = append(n.slots, p.Slots)
		}
	}
	return nodes, view
}

// redisID is a node id in the form of Redis: 40 hexadecimal digits, of which tools show the first
// few.
func redisID(id kv.NodeID) string { return fmt.Sprintf("%016x%024x", uint64(id), 0) }

// clusterSlotsCommand answers CLUSTER SLOTS.
func clusterSlotsCommand(h *handler, _ [][]byte) {
	nodes, _ := h.server.clusterNodes()
	ranges := 0
	for _, n := range nodes {
		ranges += len(n.slots)
	}
	h.array(ranges)
	for _, n := range nodes {
		for _, r := range n.slots {
			h.array(3)
			h.integer(int64(r[0]))
			h.integer(int64(r[1]))
			h.array(4)
			h.bulkText(n.host)
			h.integer(int64(n.port))
			h.bulkText(n.id)
			h.array(0)
		}
	}
}

// clusterShardsCommand answers CLUSTER SHARDS: each member is a shard of its own.
func clusterShardsCommand(h *handler, _ [][]byte) {
	nodes, _ := h.server.clusterNodes()
	h.array(len(nodes))
	for _, n := range nodes {
		h.mapOf(2)
		h.bulkText("slots")
		h.array(2 * len(n.slots))
		for _, r := range n.slots {
			h.integer(int64(r[0]))
			h.integer(int64(r[1]))
		}
		h.bulkText("nodes")
		h.array(1)
		h.mapOf(7)
		h.bulkText("id")
		h.bulkText(n.id)
		h.bulkText("port")
		h.integer(int64(n.port))
		h.bulkText("ip")
		h.bulkText(n.host)
		h.bulkText("endpoint")
		h.bulkText(n.host)
		h.bulkText("role")
		h.bulkText("master")
		h.bulkText("replication-offset")
		h.integer(0)
		h.bulkText("health")
		if n.reachable {
			h.bulkText("online")
		} else {
			h.bulkText("failed")
		}
	}
}

// clusterNodesCommand answers CLUSTER NODES.
func clusterNodesCommand(h *handler, _ [][]byte) {
	nodes, view := h.server.clusterNodes()
	var b strings.Builder
	for _, n := range nodes {
		flags, link := "master", "connected"
		switch {
		case n.myself:
			flags = "myself,master"
		case !n.reachable:
			flags, link = "master,fail", "disconnected"
		}
		address := net.JoinHostPort(n.host, strconv.Itoa(n.port))
		fmt.Fprintf(&b, "%s %s@%d %s - 0 0 %d %s", n.id, address, n.peerPort, flags, view.Epoch, link)
		for _, r := range n.slots {
			if r[0] == r[1] {
				fmt.Fprintf(&b, " %d", r[0])
			} else {
				fmt.Fprintf(&b, " %d-%d", r[0], r[1])
			}
		}
		b.WriteByte('\n')
	}
	h.text(b.String())
}

// clusterInfoCommand answers CLUSTER INFO.
func clusterInfoCommand(h *handler, _ [][]byte) {
	nodes, view := h.server.clusterNodes()
	state, assigned, leading := "ok", 0, 0
	if h.server.service.Ready() != nil {
		state = "fail"
	}
	for _, n := range nodes {
		for _, r := range n.slots {
			assigned += r[1] - r[0] + 1
		}
		if len(n.slots) > 0 {
			leading++
		}
	}
	h.text(fmt.Sprintf("cluster_enabled:1\r\ncluster_state:%s\r\ncluster_slots_assigned:%d\r\ncluster_slots_ok:%d\r\n"+
		"cluster_slots_pfail:0\r\n"+
		"cluster_slots_fail:0\r\ncluster_known_nodes:%d\r\ncluster_size:%d\r\ncluster_current_epoch:%d\r\n"+
		"cluster_my_epoch:%d\r\n"+
		"cluster_stats_messages_sent:0\r\ncluster_stats_messages_received:0\r\n",
		state, assigned, assigned, len(view.Members), leading, view.Epoch, view.Epoch))
}

// clusterMyIDCommand answers CLUSTER MYID.
func clusterMyIDCommand(h *handler, _ [][]byte) {
	view := h.server.service.Cluster()
	for _, m := range view.Members {
		if m.Name == view.Node {
			h.bulkText(redisID(m.ID))
			return
		}
	}
	h.fail(&failure{codeClusterDown, "this node has not joined a cluster yet"})
}

// clusterKeySlotCommand answers CLUSTER KEYSLOT.
func clusterKeySlotCommand(h *handler, args [][]byte) { h.integer(int64(ring.SlotOf(args[2]))) }

// clusterCountKeysInSlotCommand answers CLUSTER COUNTKEYSINSLOT.
func clusterCountKeysInSlotCommand(h *handler, args [][]byte) {
	slot, ok := kv.ParseInt(args[2])
	switch {
	case !ok:
		h.fail(errNotInteger)
		return
	case slot < 0 || slot >= ring.Slots:
		h.fail(&failure{codeError, "Invalid slot"})
		return
	}
	ctx := h.until(h.began.Add(h.server.opt.RequestTimeout))
	defer ctx.Release()
	n, err := h.server.service.CountKeysInSlot(ctx, int(slot))
	if err != nil {
		h.failed(kv.ErrorOf(err))
		return
	}
	h.integer(n)
}

// readonlyCommand answers READONLY and READWRITE. Cluster clients send them before they read from
// replicas; here every node answers with the newest value anyway.
func readonlyCommand(h *handler, _ [][]byte) { h.ok() }

// waitCommand answers WAIT: a write is answered when a majority of the replicas has it on disk, so
// that many followers have, whatever number is asked for.
func waitCommand(h *handler, args [][]byte) {
	timeout, ok := kv.ParseInt(args[2])
	if !ok {
		h.fail(&failure{codeError, "timeout is not an integer or out of range"})
		return
	}
	if timeout < 0 {
		h.fail(&failure{codeError, "timeout is negative"})
		return
	}
	if _, ok := kv.ParseInt(args[1]); !ok {
		h.fail(errNotInteger)
		return
	}
	view, active := h.server.service.Cluster(), 0
	for _, m := range view.Members {
		if m.State == kv.Active {
			active++
		}
	}
	h.integer(int64(min(view.Replicas, active) / 2))
}

// samePartition reports whether two keys are of one partition, as far as this node knows: before
// it has joined a cluster it answers nothing anyway.
func (s *Server) samePartition(a, b []byte) bool {
	slotA, slotB := ring.SlotOf(a), ring.SlotOf(b)
	if slotA == slotB {
		return true
	}
	n := s.partitionCount()
	return n == 0 || ring.PartitionOf(slotA, n) == ring.PartitionOf(slotB, n)
}

// partitionCount is the cluster's number of partitions, which never changes; 0 before the node
// knows one.
func (s *Server) partitionCount() int {
	if n := s.partitions.Load(); n > 0 {
		return int(n)
	}
	n := s.service.Cluster().Partitions
	s.partitions.Store(int64(n))
	return n
}
