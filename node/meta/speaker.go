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

// ReplacingDead returns the command, if it is a Join whose name belongs to a member that is
// not alive, such that it replaces that member. What the joining node wrote there itself does
// not count.
func (s *State) ReplacingDead(cmd []byte, alive func(kv.NodeID) bool) []byte {
	c, err := decodeCommand(cmd)
	if err != nil {
		return cmd
	}
	j, ok := c.(Join)
	if !ok {
		return cmd
	}
	j.ReplaceDead = 0
	if former, taken := s.MemberByName(j.Member.Name); taken && former.ID != j.Member.ID && !alive(former.ID) {
		j.ReplaceDead = former.ID
	}
	return j.Encode()
}
