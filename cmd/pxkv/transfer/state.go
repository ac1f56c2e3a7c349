package transfer

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"
)

// State is how far an import is: what the file beside the imported one holds.
type State struct {
	Size     int64     `json:"file_size"`     // of the file that is imported, in bytes
	Modified time.Time `json:"file_modified"` // when it was last changed
	Cluster  string    `json:"cluster"`       // the id of the cluster that it goes to
	Options  string    `json:"options"`       // those that say what is written
	Entries  int       `json:"entries"`       // all pairs up to this one are done with
	Counts   Counts    `json:"counts"`        // what became of them
	name     string
	begun    int // Entries when this run began
	saved    time.Time
}

// StateName is the file in which an import of a file keeps how far it is.
func StateName(file string) string { return file + ".pxkv-import" }

// NewState is that of an import that has not begun. opened is the file that is imported.
func NewState(name string, opened fs.FileInfo, cluster, options string) *State {
	return &State{
		Size: opened.Size(), Modified: opened.ModTime().UTC(), Cluster: cluster, Options: options,
		name: StateName(name),
	}
}

// Resume takes over how far an earlier import of the same was, if there was one. What is there of another import is an
// error.
func (s *State) Resume() error {
	text, err := os.ReadFile(s.name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("cannot read how far the import was: %w", err)
	}
	var was State
	var why string
	switch err := json.Unmarshal(text, &was); {
	case err != nil || was.Entries < 0:
		why = "it cannot be understood"
	case was.Size != s.Size || !was.Modified.Equal(s.Modified):
		why = "the file has changed since"
	case was.Cluster != s.Cluster:
		why = fmt.Sprintf("that went to the cluster with the id %s, and this one has %s", was.Cluster, s.Cluster)
	case was.Options != s.Options:
		why = fmt.Sprintf("that had other options (%s, now %s)", was.Options, s.Options)
	default:
		s.Entries, s.Counts, s.begun = was.Entries, was.Counts, was.Entries
		return nil
	}
	return fmt.Errorf("%s tells of an import that did not end, but %s; --restart begins anew and forgets that one",
		s.name, why)
}

// save writes the state so that it is the old or the new one, whatever happens.
func (s *State) save(now time.Time) error {
	if s == nil {
		return nil
	}
	s.saved = now
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	next := s.name + ".tmp"
	f, err := os.OpenFile(next, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o666)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(next, s.name)
	}
	if err != nil {
		_ = os.Remove(next)
	}
	return err
}

// Remove forgets an import that has ended.
func (s *State) Remove() error {
	if s == nil {
		return nil
	}
	if err := os.Remove(s.name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("all is imported, but it cannot be forgotten how far it was: %w", err)
	}
	return nil
}
