package meta

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

const (
	// newestState is the newest version of State's encoding that this package reads and writes; it reads all before.
	newestState = 2
	// CommandVersion is the newest version of the commands' encoding that this package reads and
	// writes; it reads all before. Any change of a command's fields or meaning needs another one, which may be
	// proposed only when every member understands it: when the cluster has that version.
	CommandVersion = NewestVersion
)

// stateVersion is the version in which a state is written, by the version of its cluster.
func stateVersion(cluster int) int {
	if cluster >= VersionDepartures {
		return 2
	}
	return 1
}

// ErrNotUnderstood is in the error of Apply, Check and Decode for bytes that this version of
// the software does not fully understand. A node must stop then: to skip a command that
// other nodes apply would make it disagree with them for ever after.
var ErrNotUnderstood = errors.New("not understood: upgrade this node to the version of the other members, or, if it " +
	"has that, replace it, for its data are damaged")

// Encode returns the state as bytes: the same for equal states.
func (s *State) Encode() []byte { return mustJSON(s) }

// Decode reads what Encode wrote, and validates it.
func Decode(b []byte) (*State, error) {
	// The version first: another version may well have other fields.
	var head struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(b, &head); err != nil {
		return nil, fmt.Errorf("meta state of %d bytes: %w: %w", len(b), ErrNotUnderstood, err)
	}
	if head.Version < 1 || head.Version > newestState {
		return nil, fmt.Errorf("meta state of version %d, want at most %d: %w", head.Version, newestState,
			ErrNotUnderstood)
	}
	s := &State{}
	if err := strictJSON(b, s); err != nil {
		return nil, fmt.Errorf("meta state of %d bytes: %w: %w", len(b), ErrNotUnderstood, err)
	}
	if err := s.Validate(); err != nil {
		return nil, fmt.Errorf("meta state of epoch %d: %w", s.Epoch, err)
	}
	return s, nil
}

// envelope is the encoding of every command. Its three fields never change, so that every
// version can tell that it does not know a newer command.
type envelope struct {
	Version int             `json:"version"`
	Type    string          `json:"type"`
	Body    json.RawMessage `json:"body"`
}

func encodeCommand(version int, typ string, body command) []byte {
	return mustJSON(envelope{Version: version, Type: typ, Body: mustJSON(body)})
}

func decodeCommand(b []byte) (command, error) {
	var e envelope
	if err := strictJSON(b, &e); err != nil {
		return nil, fmt.Errorf("meta command of %d bytes: %w: %w", len(b), ErrNotUnderstood, err)
	}
	if e.Version < 1 || e.Version > CommandVersion {
		return nil, fmt.Errorf("meta command of version %d, want at most %d: %w", e.Version, CommandVersion,
			ErrNotUnderstood)
	}
	switch e.Type {
	case typeJoin:
		return decodeBody[Join](e)
	case typeStart:
		return decodeBody[Start](e)
	case typeSetState:
		return decodeBody[SetState](e)
	case typeRemove:
		return decodeBody[Remove](e)
	case typePlace:
		return decodeBody[Place](e)
	case typeDescribe:
		return decodeBody[Describe](e)
	case typeUpgrade:
		return decodeBody[Upgrade](e)
	case typeReplicas:
		return decodeBody[SetReplicas](e)
	}
	return nil, fmt.Errorf("meta command of type %.40q: %w", e.Type, ErrNotUnderstood)
}

func decodeBody[C command](e envelope) (command, error) {
	var c C
	if err := strictJSON(e.Body, &c); err != nil {
		return nil, fmt.Errorf("meta command %s: %w: %w", e.Type, ErrNotUnderstood, err)
	}
	return c, nil
}

// strictJSON refuses fields that v does not have: they are somebody's newer meaning, which
// must not be dropped silently.
func strictJSON(b []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("data after the end")
	}
	return nil
}

// mustJSON encodes this package's own structs, which have no field that can fail to encode.
func mustJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("meta: encode %T: %v", v, err))
	}
	return b
}
