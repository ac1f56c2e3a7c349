package meta

import (
	"encoding/json"
	"fmt"

	"pxkv/node/kv"
)

// Code says why a command was refused, for programs.
type Code string

const (
	Invalid       Code = "invalid"        // can never be accepted as it is
	Stale         Code = "stale"          // made from an older state: look again, then decide again
	UnknownMember Code = "unknown_member" // names a node that is not a member
	Removed       Code = "removed"        // comes from a node that is a former member
	NameInUse     Code = "name_in_use"    // another member has the name
	Behind        Code = "behind"         // runs on an older copy of its data directory
	Copied        Code = "copied"         // two processes run on copies of one data directory
	StillPlaced   Code = "still_placed"   // partitions are placed on the member
	LastActive    Code = "last_active"    // no member would be active any more
	Full          Code = "full"           // a limit is reached
	TooFew        Code = "too_few"        // fewer members would remain than each partition has replicas
	OldVersion    Code = "old_version"    // the cluster still has members that do not understand it
)

// Refusal tells that a command was not acceptable in the state that it met. Nothing was
// changed. It is an error for whoever proposed the command.
type Refusal struct {
	Code Code   `json:"code"`
	Text string `json:"text"` // for people: what was refused, and what to do
}

// Error implements error.
func (r *Refusal) Error() string { return r.Text }

// Result is the answer to a command.
type Result struct {
	Refused *Refusal    `json:"refused,omitempty"` // nil when the command was accepted
	Epoch   kv.Epoch    `json:"epoch"`             // after the command
	Join    *JoinResult `json:"join,omitempty"`    // of an accepted Join
}

// JoinResult tells a new member what it is now part of.
type JoinResult struct {
	Cluster     kv.ClusterID `json:"cluster"`
	ClusterName string       `json:"cluster_name"`
	Member      Member       `json:"member"` // as committed, with the id of its meta replica
}

// DecodeResult reads the result of Apply. Fields that a newer node may have added are passed
// over: unlike a command, a result is not replicated.
func DecodeResult(b []byte) (Result, error) {
	var r Result
	if err := json.Unmarshal(b, &r); err != nil {
		return Result{}, fmt.Errorf("result of a meta command, %d bytes: %w", len(b), err)
	}
	return r, nil
}

// refuse is the way out of every command that is not acceptable in s.
func (s *State) refuse(code Code, format string, args ...any) (*State, Result) {
	return s, Result{Refused: &Refusal{Code: code, Text: fmt.Sprintf(format, args...)}}
}
