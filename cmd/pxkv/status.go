package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"pxkv/cmd/pxkv/server"
	"pxkv/node/kv"
)

// statusFlags are those of status that are about the cluster.
type statusFlags struct {
	quiet bool
	safe  string
	wait  time.Duration
}

func newStatusCommand() *cobra.Command {
	var f statusFlags
	cmd := newViewCommand("status", "Say whether the cluster is well, and whether a node may fail",
		`Answer three questions about the cluster, by the word of the leaders of all partitions:

  served     can every key be read and written?
  complete   has every partition all the replicas that are wanted, caught up, and nothing moves?
  may fail   may any one node fail, or be stopped, and everything goes on at once?

Each is yes, or no with the reasons. Exit code 0 only when all three are yes, so never with a single node or two,
which may not lose one, and when no member is on its way out of the cluster that has got no further for a minute.
--wait waits until the answer is yes. --quiet asks the node alone whether it can serve everything, which is the check
for containers. --safe-to-stop NAME asks only whether everything would be served without that node.`,
		func(cmd *cobra.Command, c *client, asJSON bool) error {
			if err := f.check(cmd); err != nil {
				return err
			}
			ask := func(ctx context.Context) (*statusAnswer, error) { return readStatus(ctx, c) }
			switch {
			case f.safe != "":
				ask = func(ctx context.Context) (*statusAnswer, error) { return readSafe(ctx, c, f.safe) }
			case f.quiet:
				ask = func(ctx context.Context) (*statusAnswer, error) { return readReady(ctx, c) }
			}
			a, err := f.until(cmd.Context(), ask)
			switch {
			case err != nil:
				return err
			case f.quiet:
			case asJSON:
				err = writeJSON(cmd.OutOrStdout(), a.json)
			default:
				err = a.text(cmd.OutOrStdout())
			}
			if err == nil && len(a.not) > 0 {
				return failure(exitFailed, "%s", strings.Join(a.not, "; "))
			}
			return err
		})
	fs := cmd.Flags()
	fs.BoolVarP(&f.quiet, "quiet", "q", false, "ask only whether the node asked can serve everything, and print "+
		"nothing but the reasons why not")
	fs.StringVar(&f.safe, "safe-to-stop", "", "ask only whether everything would be served without this `NODE`")
	fs.DurationVar(&f.wait, "wait", 0, "ask again until the answer is yes, for so long (60s)")
	return cmd
}

func (f *statusFlags) check(cmd *cobra.Command) error {
	switch {
	case f.safe == "" && cmd.Flags().Changed("safe-to-stop"): // as of a script's variable that is not set
		return usageError(cmd, "--safe-to-stop wants the name of a node")
	case f.quiet && f.safe != "":
		return usageError(cmd, "--quiet and --safe-to-stop are two questions: ask one")
	case f.wait < 0:
		return usageError(cmd, "--wait must not be negative")
	}
	return nil
}

// statusAnswer is what a question came to.
type statusAnswer struct {
	not  []string // why the answer is no
	json any
	text func(io.Writer) error
}

// waitStep is how long --wait waits between two questions.
const waitStep = 500 * time.Millisecond

// until asks until the answer is yes or the time is over. While it waits, a node that does not answer is asked
// again as well, but not one that refuses the question, as about a name that is no member's.
func (f *statusFlags) until(
	ctx context.Context, ask func(context.Context) (*statusAnswer, error),
) (*statusAnswer, error) {
	end := time.Now().Add(f.wait)
	for {
		a, err := ask(ctx)
		refused, _ := errors.AsType[*answerError](err)
		switch {
		case err == nil && len(a.not) == 0, refused != nil && refused.status == http.StatusBadRequest,
			!time.Now().Add(waitStep).Before(end):
			return a, err
		}
		select {
		case <-time.After(waitStep):
		case <-ctx.Done():
			return a, errors.Join(err, ctx.Err())
		}
	}
}

// status is how the cluster is.
type status struct {
	kv.HealthView

	Warnings         []string         `json:"warnings"` // what an operator should know besides
	Cluster          kv.ClusterID     `json:"cluster"`
	Name             string           `json:"name"`
	Node             string           `json:"node"` // who was asked
	Ready            bool             `json:"ready"`
	Epoch            kv.Epoch         `json:"epoch"`
	Version          int              `json:"version"`
	Members          int              `json:"members"`
	ReachableMembers int              `json:"reachable_members"`
	Partitions       int              `json:"partitions"`
	Leaderless       []kv.PartitionID `json:"leaderless_partitions"`
	Departing        []departing      `json:"departing"` // members on their way out of the cluster
}

type departing struct {
	Name  string         `json:"name"`
	State kv.MemberState `json:"state"`
	kv.DepartureView
}

func readStatus(ctx context.Context, c *client) (*statusAnswer, error) {
	var cluster kv.ClusterView
	if err := c.view(ctx, "/cluster", &cluster); err != nil {
		return nil, err
	}
	s := statusOf(&cluster)
	a := &statusAnswer{json: s, text: s.writeText}
	for _, q := range s.questions() {
		if !q.answer.Yes {
			a.not = append(a.not, q.no) // why is on standard output
		}
	}
	for _, d := range s.Departing {
		if d.StalledSeconds > 0 {
			a.not = append(a.not, fmt.Sprintf("%s is %s and gets no further", d.Name, d.State))
		}
	}
	return a, nil
}

// statusOf takes from what a node shows what an operator asks for.
func statusOf(cluster *kv.ClusterView) *status {
	s := &status{
		// [] in JSON, not null
		Warnings: []string{}, Departing: []departing{}, Leaderless: append([]kv.PartitionID{}, cluster.Leaderless...),
		Cluster: cluster.ID, Name: cluster.Name, Node: cluster.Node, Ready: cluster.Ready,
		Epoch: cluster.Epoch, Version: cluster.Version, Members: len(cluster.Members), Partitions: cluster.Partitions,
	}
	if cluster.Health != nil {
		s.HealthView = *cluster.Health
	} else {
		no := kv.YesNo{Why: []string{fmt.Sprintf("node %s is not ready: %s", s.Node, cluster.NotReady)}}
		s.HealthView = kv.HealthView{Served: no, Complete: no, MayFail: no}
	}
	warning := func(format string, args ...any) { s.Warnings = append(s.Warnings, fmt.Sprintf(format, args...)) }
	holders := 0 // members that take part in the placement
	for _, m := range cluster.Members {
		if m.State == kv.Active {
			holders++
		}
		if m.Departure != nil {
			s.Departing = append(s.Departing, departing{m.Name, m.State, *m.Departure})
		}
		if m.Reachable {
			s.ReachableMembers++
		} else {
			warning("member %s (%s) is not reachable", m.Name, m.State)
		}
	}
	if text := server.Intolerance(holders, cluster.Replicas); text != "" {
		warning("%s", text)
	}
	for _, text := range cluster.Warnings {
		warning("%s", text)
	}
	for _, m := range cluster.Waiting {
		warning("a newcomer waits for the place of member %s: %s", m.Name, m.Why)
	}
	return s
}

// question is one of the three.
type question struct {
	name, no string
	answer   kv.YesNo
}

func (s *status) questions() []question {
	return []question{
		{"served", "not everything is served", s.Served},
		{"complete", "not complete", s.Complete},
		{"may fail", "not any one node may fail", s.MayFail},
	}
}

func (s *status) writeText(w io.Writer) error {
	t := newTable(w)
	for _, q := range s.questions() {
		answer := "yes"
		if q.name == "may fail" {
			answer = "yes, any one node"
		}
		if !q.answer.Yes {
			answer = "no: " + strings.Join(q.answer.Why, "\n\t")
		}
		fmt.Fprintf(t, "%s\t%s\n", q.name, answer)
	}
	fmt.Fprintf(t, "cluster\t%s (%s), version %d\n", s.Name, s.Cluster, s.Version)
	fmt.Fprintf(t, "asked\t%s, ready: %s\n", s.Node, yesNo(s.Ready))
	fmt.Fprintf(t, "epoch\t%d\n", s.Epoch)
	fmt.Fprintf(t, "members\t%d, reachable: %d\n", s.Members, s.ReachableMembers)
	fmt.Fprintf(t, "partitions\t%d, without leader: %d\n", s.Partitions, len(s.Leaderless))
	for i := range s.Departing {
		d := &s.Departing[i]
		fmt.Fprintf(t, "%s\t%s: %s\n", d.State, d.Name, departureText(&d.DepartureView))
	}
	for _, p := range s.Warnings {
		fmt.Fprintf(t, "warning\t%s\n", p)
	}
	return t.Flush()
}

// readReady asks a node only whether it can serve everything.
func readReady(ctx context.Context, c *client) (*statusAnswer, error) {
	var ready struct{ Status string }
	return &statusAnswer{}, c.view(ctx, "/readyz", &ready)
}

// readSafe asks whether everything would be served without a node.
func readSafe(ctx context.Context, c *client, name string) (*statusAnswer, error) {
	v := kv.SafeView{Node: name, Partitions: []kv.PartitionID{}}
	status, err := c.viewOr(ctx, &request{
		method: http.MethodGet, path: "/cluster/safe-to-stop", query: url.Values{"node": {name}},
		also: http.StatusConflict,
	}, &v)
	if err != nil {
		return nil, err
	}
	a := &statusAnswer{json: &v, text: func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "node %s may be stopped\n", name)
		return err
	}}
	if status == http.StatusConflict {
		a.not = []string{v.Why()}
		a.text = func(io.Writer) error { return nil }
	}
	return a, nil
}
