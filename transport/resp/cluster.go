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

// redisID is a node id in the form of Redis: 40 hexadecimal digits.
func redisID(id kv.NodeID) string { return fmt.Sprintf("%040x", uint64(id)) }

// clusterSlots answers CLUSTER SLOTS.
func (c *conn) clusterSlots([][]byte) {
	nodes, _ := c.server.clusterNodes()
	ranges := 0
	for _, n := range nodes {
		ranges += len(n.slots)
	}
	c.array(ranges)
	for _, n := range nodes {
		for _, r := range n.slots {
			c.array(3)
			c.integer(int64(r[0]))
			c.integer(int64(r[1]))
			c.array(4)
			c.bulkText(n.host)
			c.integer(int64(n.port))
			c.bulkText(n.id)
			c.array(0)
		}
	}
}

// clusterShards answers CLUSTER SHARDS: each member is a shard of its own.
func (c *conn) clusterShards([][]byte) {
	nodes, _ := c.server.clusterNodes()
	c.array(len(nodes))
	for _, n := range nodes {
		c.mapOf(2)
		c.bulkText("slots")
		c.array(2 * len(n.slots))
		for _, r := range n.slots {
			c.integer(int64(r[0]))
			c.integer(int64(r[1]))
		}
		c.bulkText("nodes")
		c.array(1)
		c.mapOf(7)
		c.bulkText("id")
		c.bulkText(n.id)
		c.bulkText("port")
		c.integer(int64(n.port))
		c.bulkText("ip")
		c.bulkText(n.host)
		c.bulkText("endpoint")
		c.bulkText(n.host)
		c.bulkText("role")
		c.bulkText("master")
		c.bulkText("replication-offset")
		c.integer(0)
		c.bulkText("health")
		if n.reachable {
			c.bulkText("online")
		} else {
			c.bulkText("failed")
		}
	}
}

// clusterNodesText answers CLUSTER NODES.
func (c *conn) clusterNodesText([][]byte) {
	nodes, view := c.server.clusterNodes()
	var b strings.Builder
	for _, n := range nodes {
		flags, link := "master", "connected"
		switch {
		case n.myself:
			flags = "myself,master"
		case !n.reachable:
			flags, link = "master,fail", "disconnected"
		}
		fmt.Fprintf(&b, "%s %s@%d %s - 0 0 %d %s", n.id, net.JoinHostPort(n.host, strconv.Itoa(n.port)), n.peerPort, flags, view.Epoch, link)
		for _, r := range n.slots {
			if r[0] == r[1] {
				fmt.Fprintf(&b, " %d", r[0])
			} else {
				fmt.Fprintf(&b, " %d-%d", r[0], r[1])
			}
		}
		b.WriteByte('\n')
	}
	c.text(b.String())
}

// clusterInfo answers CLUSTER INFO.
func (c *conn) clusterInfo([][]byte) {
	nodes, view := c.server.clusterNodes()
	state, assigned, leading := "ok", 0, 0
	if c.server.service.Ready() != nil {
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
	c.text(fmt.Sprintf("cluster_enabled:1\r\ncluster_state:%s\r\ncluster_slots_assigned:%d\r\ncluster_slots_ok:%d\r\ncluster_slots_pfail:0\r\n"+
		"cluster_slots_fail:0\r\ncluster_known_nodes:%d\r\ncluster_size:%d\r\ncluster_current_epoch:%d\r\ncluster_my_epoch:%d\r\n"+
		"cluster_stats_messages_sent:0\r\ncluster_stats_messages_received:0\r\n",
		state, assigned, assigned, len(view.Members), leading, view.Epoch, view.Epoch))
}

// clusterMyID answers CLUSTER MYID.
func (c *conn) clusterMyID([][]byte) {
	view := c.server.service.Cluster()
	for _, m := range view.Members {
		if m.Name == view.Node {
			c.bulkText(redisID(m.ID))
			return
		}
	}
	c.fail("CLUSTERDOWN this node has not joined a cluster yet")
}

// clusterKeySlot answers CLUSTER KEYSLOT.
func (c *conn) clusterKeySlot(args [][]byte) { c.integer(int64(ring.SlotOf(args[2]))) }

// clusterCountKeysInSlot answers CLUSTER COUNTKEYSINSLOT.
func (c *conn) clusterCountKeysInSlot(args [][]byte) {
	slot, ok := kv.ParseInt(args[2])
	switch {
	case !ok:
		c.fail(errNotInteger)
		return
	case slot < 0 || slot >= ring.Slots:
		c.fail("ERR Invalid slot")
		return
	}
	ctx := kv.NewDeadline(c.server.base, c.began.Add(c.server.opt.RequestTimeout))
	defer ctx.Release()
	n, err := c.server.service.CountKeysInSlot(ctx, int(slot))
	if err != nil {
		c.failed(asError(err))
		return
	}
	c.integer(n)
}

// readOnly answers READONLY and READWRITE. Cluster clients send them before they read from
// replicas; here every node answers with the newest value anyway.
func (c *conn) readOnly([][]byte) { c.ok() }

// wait answers WAIT: a write is answered when a majority of the replicas has it on disk, so
// that many followers have, whatever number is asked for.
func (c *conn) wait(args [][]byte) {
	timeout, ok := kv.ParseInt(args[2])
	if !ok {
		c.fail("ERR timeout is not an integer or out of range")
		return
	}
	if timeout < 0 {
		c.fail("ERR timeout is negative")
		return
	}
	if _, ok := kv.ParseInt(args[1]); !ok {
		c.fail(errNotInteger)
		return
	}
	view, active := c.server.service.Cluster(), 0
	for _, m := range view.Members {
		if m.State == kv.Active {
			active++
		}
	}
	c.integer(int64(min(view.Replicas, active) / 2))
}
