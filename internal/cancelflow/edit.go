package cancelflow

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"perennial/internal/catalog"
	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
)

// EditWorld is what building a flow needs.
type EditWorld struct {
	Flow    *Flow
	Reason  *Reason
	Parent  *Reason
	Flows   int       // how many there are, deleted ones left out
	Reasons []*Reason // of the flow, deleted ones left out
	Missing []string  // what an offer or a condition names and the shop does not have, as JSON pointers
}

// FlowFields are what a team member says of a flow. Nil leaves a field as it is.
type FlowFields struct {
	Name     *string
	Status   *Status // Active or Off
	Weight   *int
	Intro    *string
	Audience *Audience
}

func (c FlowFields) over(d *Flow) *Flow {
	next := journal.Clone(d)
	if c.Name != nil {
		next.Name = strings.TrimSpace(*c.Name)
	}
	if c.Status != nil {
		next.Status = *c.Status
	}
	if c.Weight != nil {
		next.Weight = *c.Weight
	}
	if c.Intro != nil {
		next.Intro = strings.TrimSpace(*c.Intro)
	}
	if c.Audience != nil {
		next.Audience = *c.Audience
		next.Audience.ProductIDs = slices.Compact(slices.Sorted(slices.Values(c.Audience.ProductIDs)))
	}
	if next.Audience.ProductIDs == nil {
		next.Audience.ProductIDs = []id.ID{}
	}
	return next
}

func (c FlowFields) missing(r journal.Reader) (out []string, err error) {
	if c.Audience == nil {
		return nil, nil
	}
	for _, key := range c.Audience.ProductIDs {
		p, err := journal.Find[catalog.Product](r, journal.Product, key)
		if err != nil {
			return nil, err
		}
		if p == nil {
			out = append(out, "/audience/product_ids")
		}
	}
	return out, nil
}

func valid(d interface{ check(f *fault.Fields) }, missing []string) error {
	var f fault.Fields
	d.check(&f)
	for _, at := range missing {
		f.Add(at, "unknown_thing", "There is nothing like this in the shop.")
	}
	return f.Err()
}

// CreateFlow makes a flow, which is off until it is switched on. Refusal: too_many_flows.
type CreateFlow struct {
	ID     id.ID
	Fields FlowFields
}

// Load counts the flows.
func (c CreateFlow) Load(r journal.Reader) (w EditWorld, err error) {
	for _, s := range []Status{Active, Off} {
		ids, err := r.Where(journal.CancelFlow, "status", string(s))
		if err != nil {
			return w, err
		}
		w.Flows += len(ids)
	}
	w.Missing, err = c.Fields.missing(r)
	return w, err
}

func (c CreateFlow) Decide(w EditWorld, now time.Time) (journal.Decision, error) {
	next := c.Fields.over(&Flow{ID: c.ID, Status: Off, Weight: 1, CreatedAt: journal.At(now)})
	if err := valid(next, w.Missing); err != nil {
		return journal.Decision{}, err
	}
	if next.Status == Deleted {
		return journal.Decision{}, wrongStatus()
	}
	if w.Flows >= MaxFlows {
		return journal.Decision{}, fault.New(fault.Conflict, "too_many_flows", "There are at most %d flows. Delete one first.", MaxFlows)
	}
	return journal.Decision{Drafts: []journal.Draft{{Type: journal.CancelFlowCreated, After: next}}, Result: next.Ref()}, nil
}

func wrongStatus() error {
	var f fault.Fields
	f.Add("/status", "status_unknown", "A flow is active or off. Delete it with the action for that.")
	return f.Err()
}

// UpdateFlow changes a flow. Sessions that are open go on with what it says then.
type UpdateFlow struct {
	ID     id.ID
	Fields FlowFields
}

func (c UpdateFlow) Load(r journal.Reader) (w EditWorld, err error) {
	if w.Flow, err = journal.Get[Flow](r, journal.CancelFlow, c.ID); err != nil {
		return w, err
	}
	w.Missing, err = c.Fields.missing(r)
	return w, err
}

// Decide refuses wrong fields, and a flow that was deleted (status_archived).
func (c UpdateFlow) Decide(w EditWorld, _ time.Time) (journal.Decision, error) {
	if err := there(w.Flow.Status, "flow"); err != nil {
		return journal.Decision{}, err
	}
	next := c.Fields.over(w.Flow)
	if err := valid(next, w.Missing); err != nil {
		return journal.Decision{}, err
	}
	if next.Status == Deleted {
		return journal.Decision{}, wrongStatus()
	}
	return changed(journal.CancelFlowUpdated, w.Flow, next)
}

// DeleteFlow takes a flow out of use for good; its reasons go with it, and what came of its sessions stays.
type DeleteFlow struct{ ID id.ID }

func (c DeleteFlow) Load(r journal.Reader) (w EditWorld, err error) {
	w.Flow, err = journal.Get[Flow](r, journal.CancelFlow, c.ID)
	return w, err
}

// Decide refuses nothing: a deleted flow stays deleted.
func (c DeleteFlow) Decide(w EditWorld, _ time.Time) (journal.Decision, error) {
	next := journal.Clone(w.Flow)
	next.Status = Deleted
	return changed(journal.CancelFlowDeleted, w.Flow, next)
}

func there(s Status, what string) error {
	if s == Deleted {
		return fault.New(fault.Conflict, "status_archived", "This %s was deleted.", what)
	}
	return nil
}

// changed is the decision of a change of one row; nothing changed is no event.
func changed(typ journal.Name, before, after journal.State, mentions ...journal.Ref) (journal.Decision, error) {
	d := journal.Decision{Result: before.Ref()}
	changes, err := journal.Diff(before, after)
	if err == nil && len(changes) > 0 {
		d.Drafts = []journal.Draft{{Type: typ, Before: before, After: after, Mentions: mentions}}
	}
	return d, err
}

// ReasonFields are what a team member says of a reason. Nil leaves a field as it is.
type ReasonFields struct {
	Label    *string
	Position *int
	AskWords *bool
	Offers   *[]Offer
}

func (c ReasonFields) over(d *Reason) *Reason {
	next := journal.Clone(d)
	if c.Label != nil {
		next.Label = strings.TrimSpace(*c.Label)
	}
	if c.Position != nil {
		next.Position = *c.Position
	}
	if c.AskWords != nil {
		next.AskWords = *c.AskWords
	}
	if c.Offers != nil {
		next.Offers = slices.Clone(*c.Offers)
		for i, o := range next.Offers {
			if code, ok := catalog.NormalizeCode(o.Code); ok {
				next.Offers[i].Code = code
			}
			next.Offers[i].Text = strings.TrimSpace(o.Text)
		}
	}
	if next.Offers == nil {
		next.Offers = []Offer{}
	}
	return next
}

// missing finds the offers that name what the shop does not have.
func (c ReasonFields) missing(r journal.Reader) (out []string, err error) {
	if c.Offers == nil {
		return nil, nil
	}
	for i, o := range *c.Offers {
		at := "/offers/" + strconv.Itoa(i)
		if o.VariantID != "" {
			v, err := journal.Find[catalog.Variant](r, journal.Variant, o.VariantID)
			if err != nil {
				return nil, err
			}
			if v == nil {
				out = append(out, at+"/variant_id")
			}
		}
		if code, ok := catalog.NormalizeCode(o.Code); ok {
			if _, held, err := r.Reserved(catalog.ScopeDiscountCode, code); err != nil {
				return nil, err
			} else if !held {
				out = append(out, at+"/code")
			}
		}
	}
	return out, nil
}

// CreateReason adds a reason to a flow. Refusals: too_many_reasons, too_deep (a closer answer has no closer answers).
type CreateReason struct {
	ID       id.ID
	FlowID   id.ID
	ParentID id.ID
	Fields   ReasonFields
}

func (c CreateReason) Load(r journal.Reader) (w EditWorld, err error) {
	if w.Flow, err = journal.Get[Flow](r, journal.CancelFlow, c.FlowID); err != nil {
		return w, err
	}
	if w.Parent, err = journal.Find[Reason](r, journal.CancelReason, c.ParentID); err != nil {
		return w, err
	}
	if w.Reasons, err = reasonsOf(r, c.FlowID); err != nil {
		return w, err
	}
	w.Missing, err = c.Fields.missing(r)
	return w, err
}

func (c CreateReason) Decide(w EditWorld, _ time.Time) (journal.Decision, error) {
	if err := there(w.Flow.Status, "flow"); err != nil {
		return journal.Decision{}, err
	}
	last := -1
	for _, other := range w.Reasons {
		last = max(last, other.Position)
	}
	next := c.Fields.over(&Reason{ID: c.ID, FlowID: c.FlowID, ParentID: c.ParentID, Position: min(last+1, 999), Status: Active})
	missing := w.Missing
	if c.ParentID != "" && (w.Parent == nil || w.Parent.FlowID != c.FlowID || w.Parent.Status == Deleted) {
		missing = append(missing, "/parent_id")
	}
	if err := valid(next, missing); err != nil {
		return journal.Decision{}, err
	}
	switch {
	case len(w.Reasons) >= MaxReasons:
		return journal.Decision{}, fault.New(fault.Conflict, "too_many_reasons", "A flow has at most %d reasons.", MaxReasons)
	case w.Parent != nil && w.Parent.ParentID != "":
		return journal.Decision{}, fault.New(fault.Conflict, "too_deep", "A closer answer has no closer answers of its own.")
	}
	return journal.Decision{
		Drafts: []journal.Draft{{Type: journal.CancelReasonCreated, After: next, Mentions: []journal.Ref{w.Flow.Ref()}}},
		Result: next.Ref(),
	}, nil
}

// UpdateReason changes a reason.
type UpdateReason struct {
	ID     id.ID
	Fields ReasonFields
}

func (c UpdateReason) Load(r journal.Reader) (w EditWorld, err error) {
	if w.Reason, err = journal.Get[Reason](r, journal.CancelReason, c.ID); err != nil {
		return w, err
	}
	w.Missing, err = c.Fields.missing(r)
	return w, err
}

// Decide refuses wrong fields, and a reason that was deleted (status_archived).
func (c UpdateReason) Decide(w EditWorld, _ time.Time) (journal.Decision, error) {
	if err := there(w.Reason.Status, "reason"); err != nil {
		return journal.Decision{}, err
	}
	next := c.Fields.over(w.Reason)
	if err := valid(next, w.Missing); err != nil {
		return journal.Decision{}, err
	}
	return changed(journal.CancelReasonUpdated, w.Reason, next, journal.Ref{Kind: journal.CancelFlow, ID: next.FlowID})
}

// DeleteReason takes a reason out of its flow. Its closer answers are not asked for any more.
type DeleteReason struct{ ID id.ID }

func (c DeleteReason) Load(r journal.Reader) (w EditWorld, err error) {
	w.Reason, err = journal.Get[Reason](r, journal.CancelReason, c.ID)
	return w, err
}

// Decide refuses nothing: a deleted reason stays deleted.
func (c DeleteReason) Decide(w EditWorld, _ time.Time) (journal.Decision, error) {
	next := journal.Clone(w.Reason)
	next.Status = Deleted
	return changed(journal.CancelReasonDeleted, w.Reason, next, journal.Ref{Kind: journal.CancelFlow, ID: next.FlowID})
}
