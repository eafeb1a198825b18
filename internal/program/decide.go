package program

import (
	"cmp"
	"crypto/rand"
	"fmt"
	"maps"
	"runtime/debug"
	"slices"
	"strings"

	"perennial/internal/fault"
	"perennial/internal/gate"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/seal"
	"perennial/internal/store"
	"perennial/internal/vault"
)

// decide runs the command on a layer of its own and merges it when it is accepted.
func (t *transaction) decide(j *job) (out *Outcome, err error) {
	defer func() {
		if r := recover(); r != nil {
			t.w.p.log.Error("command panicked", "command", fmt.Sprintf("%T", j.req.Command), "panic", r, "stack", string(debug.Stack()))
			out, err = nil, fault.New(fault.Internal, "internal", "Something went wrong here. Nothing was changed.")
		}
	}()
	v := &view{t: t, layer: newLayer()}
	if err := v.admit(j.req); err != nil {
		return nil, err
	}
	decision, err := j.req.Command.Run(v, t.b.Now)
	if err != nil {
		return nil, err
	}
	if changesSubscriptions(decision) {
		if err := t.w.p.gate.Ask(gate.Plan); err != nil {
			return nil, err
		}
	}
	n := &entry{t: t, j: j, v: v, network: j.network, edge: t.head.Edge.Clone(), seq: t.head.Seq, nodes: t.nodes,
		out: &Outcome{Command: j.command, Decision: decision}, placed: make([]id.ID, len(decision.Drafts))}
	if n.network == nil && len(decision.Drafts) > 0 {
		if n.network, err = j.req.Meta.Source.SealNetwork(t.b); err != nil {
			return nil, err
		}
	}
	for i, d := range decision.Drafts {
		if err := n.add(i, d); err != nil {
			return nil, err
		}
	}
	n.merge()
	return n.out, nil
}

// changesSubscriptions says whether a decision changes which orders come, of what and when: in an old copy of the database that would make
// other orders than those that were charged after it, and they would be charged again.
func changesSubscriptions(d journal.Decision) bool {
	return slices.ContainsFunc(d.Drafts, func(d journal.Draft) bool {
		return d.After != nil && d.After.Ref().Kind == journal.Subscription
	})
}

// admit asks again, under the head, what the request asks for: that it is allowed, and that nothing changed since the version it saw.
func (v *view) admit(r *Request) error {
	if r.Allow != nil {
		if err := r.Allow(v); err != nil {
			return err
		}
	}
	if r.IfMatch == nil {
		return nil
	}
	row, err := v.load(r.Target)
	if err == nil && row.Version != *r.IfMatch {
		err = fault.New(fault.Stale, "stale_version", "This was changed in the meantime: it is at version %d, not %d.", row.Version, *r.IfMatch)
	}
	return err
}

// entry is what one command adds to the journal. It is thrown away when the command is refused half-way.
type entry struct {
	t       *transaction
	j       *job
	v       *view
	network *journal.Sealed
	edge    seal.Edge
	seq     int64
	nodes   []seal.Node
	entries []store.Entry
	secrets []secretRow
	destroy []string // keys that go with what was erased
	placed  []id.ID  // ids of the decision's events by draft, for causation
	out     *Outcome
}

// add makes an event of a draft. A draft that changes nothing makes none.
func (n *entry) add(i int, d journal.Draft) error {
	e, err := d.Event()
	if err != nil {
		return err
	}
	target := e.Target()
	before, err := n.v.load(target)
	if err != nil {
		return err
	}
	if d.After != nil && (before.Version == 0) != (d.Before == nil) {
		return fault.New(fault.Conflict, "already_exists", "The %s %s exists already.", target.Kind.Words(), target.ID)
	}
	if d.Before != nil && len(e.Changes) == 0 && len(d.Secrets) == 0 {
		return nil
	}
	n.place(i, d, e, before)
	after := store.Row{Version: e.TargetVersion, LastSeq: n.seq}
	if d.After != nil {
		fresh, err := n.t.w.s.Fresh(target)
		if err != nil {
			return err
		}
		if after.State, err = journal.Apply(before.State, fresh, e.Changes); err != nil {
			return err
		}
	} else if before.State != nil {
		return fmt.Errorf("program: %s observes a %s, which has a state", d.Type, target.Kind)
	}
	n.commitTo(e, d.Secrets)
	body, ciphertexts, err := e.Encode(n.t.b, n.network)
	if err != nil {
		return err
	}
	leaf := seal.LeafHash(body)
	n.nodes = n.edge.Add(leaf, n.nodes)
	n.entries = append(n.entries, store.Entry{Event: e, Body: body, Ciphertexts: ciphertexts, Leaf: leaf})
	n.out.Events = append(n.out.Events, Done{e, leaf})
	n.placed[i] = e.ID
	n.v.states[target] = after
	switch t, _ := journal.Lookup(e.Type); t.Destroys { // the entry is half of an erasure, the other half is the key
	case journal.ClassPerson:
		n.destroy = append(n.destroy, string(target.ID))
	case journal.ClassNetwork:
		n.destroy = append(n.destroy, n.t.w.s.Keys.NetworkKey(strings.Trim(string(e.Detail("month")), `"`)))
	}
	return nil
}

// place gives an event its place in the journal and in the history of its target, and says who acted, from where and because of what.
func (n *entry) place(i int, d journal.Draft, e *journal.Event, before store.Row) {
	n.seq++
	shop, m := n.t.w.s.Shop, n.j.req.Meta
	e.Shop, e.Seq, e.ID, e.RecordedAt = shop, n.seq, id.Event(shop, n.seq), n.t.b.Now
	e.TargetVersion = before.Version + 1
	if before.Version > 0 {
		e.TargetPrevSeq = before.LastSeq
	}
	e.Actor, e.OnBehalfOf, e.Source = m.Actor, m.OnBehalfOf, m.Source
	if m.Comment != "" {
		e.Comment = journal.Secluded(m.Comment)
	}
	e.CommandID, e.CorrelationID = n.j.command, cmp.Or(m.CorrelationID, n.j.command)
	if e.CausationID == "" {
		e.CausationID = m.CausationID
		if by := d.CausedByDraft; by > 0 && by <= i {
			e.CausationID = n.placed[by-1]
		}
	}
}

// commitTo puts a commitment to each secret into the event; the secret itself is kept beside the journal.
func (n *entry) commitTo(e *journal.Event, secrets []journal.Secret) {
	for _, s := range secrets {
		if s.Seal {
			s.Value = n.t.w.s.SealSecret(e.Target(), s.Name, s.Value)
		}
		salt := make([]byte, 16)
		rand.Read(salt)
		e.Secrets = append(e.Secrets, journal.SecretCommitment{Name: s.Name, Commitment: vault.CommitSecret(salt, s.Value)})
		n.secrets = append(n.secrets, secretRow{e.Target(), e.TargetVersion, n.seq, s.Name, salt, s.Value})
	}
}

// merge makes what was decided part of the batch. Nothing in it can fail.
func (n *entry) merge() {
	t := n.t
	maps.Copy(t.states, n.v.states)
	for _, r := range n.out.Decision.Reservations {
		owner := r.Owner
		if r.Release {
			owner = ""
		}
		t.owners[[2]string{r.Scope, r.Value}] = owner
	}
	t.names = append(t.names, n.out.Decision.Reservations...)
	t.entries = append(t.entries, n.entries...)
	t.secrets = append(t.secrets, n.secrets...)
	t.destroy = append(t.destroy, n.destroy...)
	t.nodes = n.nodes
	t.head.Edge, t.head.Seq = n.edge, n.seq
	if len(n.entries) > 0 {
		t.head.RecordedAt = t.b.Now
	}
	n.out.states = n.v.states
}
