package resp

import (
	"strings"
	"testing"

	"pxkv/node/kv"
)

// threeMembers is a cluster of four partitions, seen from n1: n2 leads two that are not
// neighbours, n3 is out of reach and leads one, and one has no leader that is known.
func threeMembers() *fake {
	f := newFake()
	member := func(id kv.NodeID, name, resp string, reachable bool) kv.MemberView {
		return kv.MemberView{ID: id, Name: name, State: kv.Active, Reachable: reachable,
			Addresses: kv.Addresses{RESP: resp, Peer: "10.0.0.1:7947"}}
	}
	f.view.Members = []kv.MemberView{member(0xa1, "n1", "10.0.0.1:6379", true),
		member(0xa2, "n2", "[fd00::2]:6380", true), member(0xa3, "n3", "n3:6379", false)}
	f.view.Epoch = 7
	f.parts = []kv.PartitionView{
		{Partition: 0, Slots: [2]int{0, 4095}, Leader: "n2"},
		{Partition: 1, Slots: [2]int{4096, 8191}, Leader: "n3"},
		{Partition: 2, Slots: [2]int{8192, 12287}},
		{Partition: 3, Slots: [2]int{12288, 16383}, Leader: "n2"},
	}
	return f
}

const (
	id1 = "00000000000000a1000000000000000000000000"
	id2 = "00000000000000a2000000000000000000000000"
	id3 = "00000000000000a3000000000000000000000000"
)

// Slots whose leader cannot be reached are the answering node's, which passes commands on.
func TestClusterCommandsShowLeaders(t *testing.T) {
	t.Parallel()
	address, _ := start(t, threeMembers(), nil)
	c := dial(t, address)
	for said, want := range map[string]string{
		"CLUSTER SLOTS": `[[:4096 :12287 ["10.0.0.1" :6379 "` + id1 + `" []]] [:0 :4095 ["fd00::2" :6380 "` + id2 +
			`" []]] [:12288 :16383 ["fd00::2" :6380 "` + id2 + `" []]]]`,
		"CLUSTER NODES": `"` + id1 + ` 10.0.0.1:6379@7947 myself,master - 0 0 7 connected 4096-12287\n` +
			id2 + ` [fd00::2]:6380@7947 master - 0 0 7 connected 0-4095 12288-16383\n` + id3 +
			` n3:6379@7947 master,fail - 0 0 7 disconnected\n"`,
		"CLUSTER MYID":                  `"` + id1 + `"`,
		"CLUSTER KEYSLOT foo":           ":12182",
		"CLUSTER KEYSLOT {foo}bar":      ":12182",
		"CLUSTER COUNTKEYSINSLOT x":     "-ERR value is not an integer or out of range",
		"CLUSTER COUNTKEYSINSLOT 16384": "-ERR Invalid slot",
		"CLUSTER COUNTKEYSINSLOT 12182": ":0",
		"WAIT 2 100":                    ":1",
		"READONLY":                      "+OK",
	} {
		if got := c.do(strings.Fields(said)...); got != want {
			t.Errorf("%s\n got %s\nwant %s", said, got, want)
		}
	}
	shards := c.do("CLUSTER", "SHARDS")
	for _, want := range []string{`["slots" [:4096 :12287] "nodes" [["id" "` + id1 + `" "port" :6379 "ip" "10.0.0.1"`,
		`"slots" [] "nodes" [["id" "` + id3, `"health" "failed"`} {
		if !strings.Contains(shards, want) {
			t.Errorf("CLUSTER SHARDS is without %s:\n%s", want, shards)
		}
	}
	if info := c.do("CLUSTER", "INFO"); !strings.Contains(info,
		`cluster_state:ok\r\ncluster_slots_assigned:16384\r\n`) ||
		!strings.Contains(info, "cluster_known_nodes:3\\r\\ncluster_size:2") {
		t.Errorf("CLUSTER INFO: %s", info)
	}
}

// A node that takes no Redis clients is nobody whom clients can ask.
func TestMembersThatTakeNoRedisClientsAreNotShown(t *testing.T) {
	t.Parallel()
	f := threeMembers()
	f.view.Members[1].Addresses.RESP = ""
	address, _ := start(t, f, nil)
	c := dial(t, address)
	if got, want := c.do("CLUSTER", "SLOTS"), `[[:0 :16383 ["10.0.0.1" :6379 "`+id1+`" []]]]`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
