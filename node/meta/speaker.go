package meta

import (
	"fmt"

	"pxkv/node/kv"
)

// Speaker returns the node that a command speaks for: the joining one of a Join, the
// restarted one of a Start. Other commands are decided by the cluster itself, and are an
// error here: no node may send them to another.
func Speaker(cmd []byte) (kv.NodeID, error) {
	c, err := decodeCommand(cmd)
	if err != nil {
		return 0, err
	}
	switch c := c.(type) {
	case Join:
		return c.Member.ID, nil
	case Start:
		return c.ID, nil
	}
	return 0, fmt.Errorf("a command of type %T is not one by which a node speaks for itself", c)
}

// Former returns the member whose name a Join wants, when it is another one; false when there is none
// or the command is no Join.
func (s *State) Former(cmd []byte) (Member, bool) {
	c, err := decodeCommand(cmd)
	j, ok := c.(Join)
	if err != nil || !ok {
		return Member{}, false
	}
	if _, known := s.Member(j.Member.ID); known {
		return Member{}, false
	}
	former, taken := s.MemberByName(j.Member.Name)
	return former, taken && former.ID != j.Member.ID
}

// Replacing returns the command, which is any but a Join as it is, such that it replaces that member, 0
// for none. What the joining node wrote there itself does not count. atMS is now, in milliseconds since 1970.
func (s *State) Replacing(cmd []byte, former kv.NodeID, atMS int64) []byte {
	c, err := decodeCommand(cmd)
	j, ok := c.(Join)
	if err != nil || !ok {
		return cmd
	}
	j.ReplaceDead, j.AtMS = former, 0
	if former != 0 && s != nil && s.ClusterVersion >= VersionDepartures {
		j.AtMS = atMS
	}
	return j.Encode()
}

// RefuseName is the answer to a Join whose name is in use by a member that must stay, and why.
func (s *State) RefuseName(former Member, why string) Result {
	_, r := s.refuse(NameInUse, "name %q is in use by member %s, which cannot be replaced: %s", former.Name, former.ID,
		why)
	return r
}
