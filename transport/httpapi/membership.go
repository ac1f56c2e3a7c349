package httpapi

import (
	"context"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"pxkv/node/kv"
)

// Members is what this package needs of a node to let members leave, and to remove them. What is refused is in the
// views; an error is a *kv.Error.
type Members interface {
	// Leave makes a member leave, the node that is asked when name is empty. replicas is how many a partition has
	// afterwards, 0: as many as now; epoch that of the plan which was looked at, 0: none.
	Leave(ctx context.Context, name string, replicas int, epoch kv.Epoch) (kv.OrderView, error)
	CancelLeave(ctx context.Context, name string) (kv.OrderView, error)
	RemoveMember(ctx context.Context, name string, replicas int) (kv.OrderView, error)
	// SetReplicas makes another number of replicas of each partition be wanted.
	SetReplicas(ctx context.Context, replicas int) (kv.OrderView, error)
	// Plan says what would move if a member came, went, or were replaced: change is add, remove or replace.
	Plan(ctx context.Context, change, name string, replicas int) (kv.PlanView, error)
}

const membersPrefix = "/cluster/members/"

// member is matched by hand, as a key is: its name may be any text.
var member = newRoute(membersPrefix+"{name}", method{"DELETE", opCluster, (*exchange).deleteMember})

// The parameters of these calls.
const (
	paramNode     = "node"
	paramReplicas = "replicas_after"
	paramWanted   = "wanted"
	paramPlan     = "plan"
	paramWait     = "timeout"
)

// changes are what a plan can be asked for.
var changes = [...]string{"add", "remove", "replace"}

func (x *exchange) postLeave() {
	x.order(func(ctx context.Context, p parameters) (kv.OrderView, error) {
		return x.server.service.Leave(ctx, p.values[paramNode], p.replicas, p.epoch)
	}, paramNode, paramReplicas, paramPlan)
}

func (x *exchange) deleteLeave() {
	x.order(func(ctx context.Context, p parameters) (kv.OrderView, error) {
		return x.server.service.CancelLeave(ctx, p.values[paramNode])
	}, paramNode)
}

func (x *exchange) deleteMember() {
	name := strings.TrimPrefix(x.r.URL.Path, membersPrefix)
	if name == "" {
		x.fail(invalid("Name one member: %sNAME", membersPrefix))
		return
	}
	x.order(func(ctx context.Context, p parameters) (kv.OrderView, error) {
		return x.server.service.RemoveMember(ctx, name, p.replicas)
	}, paramReplicas)
}

func (x *exchange) putReplicas() {
	x.order(func(ctx context.Context, p parameters) (kv.OrderView, error) {
		if p.replicas == 0 {
			return kv.OrderView{}, kv.Errorf(kv.Invalid, "Say how many: /cluster/replicas?%s=3", paramWanted)
		}
		return x.server.service.SetReplicas(ctx, p.replicas)
	}, paramWanted)
}

// order carries out a change of members or replicas, and answers 409 with the reasons when it is refused.
func (x *exchange) order(do func(context.Context, parameters) (kv.OrderView, error), names ...string) {
	p, err := parseParameters(x.r.URL.RawQuery, append(names, paramWait)...)
	switch {
	case err != nil:
	case x.r.ContentLength != 0: // of -1 bytes: it is not known how many
		err = invalid("This call takes no body: everything is said by parameters")
	}
	if err != nil {
		x.fail(err)
		return
	}
	x.writing = true
	v, err := do(x.withDeadline(x.timeout(p.timeout)), p)
	switch {
	case err != nil:
		x.fail(err)
	case len(v.Refused) > 0:
		x.sendViewAs(http.StatusConflict, struct {
			Error string `json:"error"`
			Code  string `json:"code"`
			kv.OrderView
		}{"Refused: " + strings.Join(v.Refused, "; "), "refused", v})
	default:
		x.sendView(v)
	}
}

// getPlan answers 200 also when the change would be refused: that is what was asked.
func (x *exchange) getPlan() {
	p, err := parseParameters(x.r.URL.RawQuery, append(changes[:], paramReplicas, paramWait)...)
	change := ""
	if err == nil {
		change, err = p.change()
	}
	if err != nil {
		x.fail(err)
		return
	}
	v, err := x.server.service.Plan(x.withDeadline(x.timeout(p.timeout)), change, p.values[change], p.replicas)
	if err != nil {
		x.fail(err)
		return
	}
	x.sendView(v)
}

// parameters are those of a call about members.
type parameters struct {
	values   map[string]string
	replicas int           // 0 is none
	epoch    kv.Epoch      // 0 is none
	timeout  time.Duration // 0 is the default
}

// parseParameters refuses what is not named, given twice or empty: as of a script's variable that is not set, where the
// node that is asked would be meant.
func parseParameters(raw string, names ...string) (p parameters, err error) {
	all, err := url.ParseQuery(raw)
	if err != nil {
		return p, invalid("The parameters have a bad percent-encoding")
	}
	p.values = map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		values := all[name]
		switch {
		case !slices.Contains(names, name):
			return p, unknownParameter(name, names...)
		case len(values) > 1:
			return p, invalid("Parameter %s is given twice", name)
		case values[0] == "":
			return p, invalid("Parameter %s is empty", name)
		}
		p.values[name] = values[0]
	}
	for _, name := range []string{paramReplicas, paramWanted} {
		text, given := p.values[name]
		if !given {
			continue
		}
		if p.replicas, err = strconv.Atoi(text); err != nil || p.replicas < 1 {
			return p, invalid("Parameter %s: %s is not a number of replicas, 1 or more", name, quoted(text))
		}
	}
	if text, given := p.values[paramPlan]; given {
		epoch, err := strconv.ParseUint(text, 10, 64)
		if err != nil || epoch == 0 {
			return p, invalid("Parameter %s: %s is not an epoch, as a plan has it", paramPlan, quoted(text))
		}
		p.epoch = kv.Epoch(epoch)
	}
	if text, given := p.values[paramWait]; given {
		p.timeout, err = parseTimeout(text)
	}
	return p, err
}

// unknownParameter says that there is no parameter of a name, and which there are.
func unknownParameter(name string, known ...string) error {
	there := "there are"
	if len(known) == 1 {
		there = "there is"
	}
	return invalid("Parameter %s is not known here: %s %s", quoted(name), there, strings.Join(known, ", "))
}

// change is the one that a plan is asked for.
func (p *parameters) change() (change string, err error) {
	for _, name := range changes {
		if _, given := p.values[name]; !given {
			continue
		}
		if change != "" {
			return "", invalid("Parameters %s and %s are two changes: ask for one", change, name)
		}
		change = name
	}
	switch {
	case change == "":
		return "", invalid("Name a change: /cluster/plan?add=NAME, remove=NAME or replace=NAME")
	case change != "remove" && p.replicas != 0:
		return "", invalid("Parameter %s goes with remove=NAME only", paramReplicas)
	}
	return change, nil
}
