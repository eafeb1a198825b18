package api

import (
	"cmp"
	"context"
	"net/http"
	"slices"

	"perennial/internal/cancelflow"
	"perennial/internal/civil"
	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/program"
	"perennial/internal/query"
	"perennial/internal/settings"
	"perennial/internal/store"
	"perennial/internal/team"
)

type (
	audienceBody struct {
		MinDays    int     `json:"min_days,omitempty" doc:"0 to 3,650: days since the subscription was created."`
		MaxDays    int     `json:"max_days,omitempty" doc:"0, the default: no limit."`
		ProductIDs []id.ID `json:"product_ids,omitempty" doc:"It has one of these; empty: any."`
		MinValue   int64   `json:"min_value,omitempty" doc:"Of the recurring items of an order, in minor units of the shop's currency."`
		MaxValue   int64   `json:"max_value,omitempty" doc:"0, the default: no limit."`
	}
	cancelOfferBody struct {
		Kind          string     `json:"kind" doc:"skip (the next order), pause (days), swap (variant_id), frequency (interval, interval_count), discount (code), gift (variant_id) or talk."`
		Text          string     `json:"text,omitempty" doc:"A sentence to the subscriber; at most 200 characters."`
		Days          int        `json:"days,omitempty" doc:"7 to 365."`
		Interval      civil.Unit `json:"interval,omitempty"`
		IntervalCount int        `json:"interval_count,omitempty"`
		Code          string     `json:"code,omitempty"`
		VariantID     id.ID      `json:"variant_id,omitempty"`
	}
	cancelReasonView struct {
		ID       id.ID             `json:"id"`
		Version  int64             `json:"version"`
		ParentID *id.ID            `json:"parent_id" doc:"The reason of which this is a closer answer; null: none."`
		Label    string            `json:"label"`
		Position int               `json:"position"`
		AskWords bool              `json:"ask_words"`
		Offers   []cancelOfferBody `json:"offers" nullable:"false"`
	}
	cancelFlowView struct {
		ID        id.ID              `json:"id"`
		Version   int64              `json:"version"`
		Name      string             `json:"name"`
		Status    cancelflow.Status  `json:"status" enum:"active,off,archived"`
		Weight    int                `json:"weight"`
		Intro     string             `json:"intro"`
		Audience  audienceBody       `json:"audience"`
		Reasons   []cancelReasonView `json:"reasons" nullable:"false" doc:"Those that were not deleted, oldest first."`
		CreatedAt journal.Time       `json:"created_at"`
	}
	cancelFlowFilter struct {
		Page
		Status string `query:"status" enum:"active,off,archived" doc:"Without it, deleted (archived) ones are left out."`
	}
	createCancelFlow struct {
		Commented
		Name     string            `json:"name"`
		Status   cancelflow.Status `json:"status,omitempty" doc:"active or off, the default."`
		Weight   *int              `json:"weight,omitempty" doc:"1 to 100, the default 1: its share beside the other flows that fit a subscription."`
		Intro    string            `json:"intro,omitempty"`
		Audience *audienceBody     `json:"audience,omitempty" doc:"Whom it is for; without it, everybody."`
	}
	patchCancelFlow struct {
		Commented
		Name     *string            `json:"name,omitempty"`
		Status   *cancelflow.Status `json:"status,omitempty"`
		Weight   *int               `json:"weight,omitempty"`
		Intro    *string            `json:"intro,omitempty"`
		Audience *audienceBody      `json:"audience,omitempty"`
	}
	createCancelReason struct {
		Commented
		ParentID id.ID             `json:"parent_id,omitempty"`
		Label    string            `json:"label"`
		Position *int              `json:"position,omitempty" doc:"0 to 999; without it, the last."`
		AskWords bool              `json:"ask_words,omitempty"`
		Offers   []cancelOfferBody `json:"offers,omitempty" doc:"At most 3."`
	}
	patchCancelReason struct {
		Commented
		Label    *string            `json:"label,omitempty"`
		Position *int               `json:"position,omitempty"`
		AskWords *bool              `json:"ask_words,omitempty"`
		Offers   *[]cancelOfferBody `json:"offers,omitempty" nullable:"false"`
	}
	CancelTally struct {
		Sessions  int `json:"sessions" doc:"That are over; one that was left open for a day is."`
		Accepted  int `json:"accepted" doc:"An offer was accepted."`
		Kept      int `json:"kept" doc:"The subscription was kept without an offer."`
		Cancelled int `json:"cancelled"`
		SaveRate  int `json:"save_rate_basis_points" doc:"The share that was accepted or kept, in hundredths of a per cent."`
	}
	cancelFlowTally struct {
		FlowID id.ID `json:"flow_id"`
		CancelTally
	}
	cancelReasonTally struct {
		ReasonID *id.ID                  `json:"reason_id" doc:"null: no answer was given."`
		Offers   []cancelflow.OfferTally `json:"offers" nullable:"false"`
		CancelTally
	}
	cancelResults struct {
		From    string              `json:"from"`
		To      string              `json:"to"`
		Running int                 `json:"running" doc:"Sessions that go on."`
		All     CancelTally         `json:"all"`
		Flows   []cancelFlowTally   `json:"flows" nullable:"false"`
		Reasons []cancelReasonTally `json:"reasons" nullable:"false"`
	}
	cancelRange struct {
		From string `query:"from" doc:"First day in the shop's zone, YYYY-MM-DD; the default: 89 days before the last."`
		To   string `query:"to" doc:"Last day; the default: today."`
	}
	// CancelFlowPage is the settings page "cancel_flow".
	CancelFlowPage struct {
		Enabled              bool `json:"enabled" doc:"false: the Portal cancels without asking why."`
		DiscountCooldownDays int  `json:"discount_cooldown_days" doc:"1 to 3,650: how long a customer who accepted a discount is offered none."`
	}
	cancelPageView struct {
		Versioned
		CancelFlowPage
	}
	cancelPageBody struct {
		Commented
		CancelFlowPage
	}
)

func (b *audienceBody) audience() *cancelflow.Audience {
	if b == nil {
		return nil
	}
	return new(cancelflow.Audience(*b))
}

func cancelOffers(list []cancelOfferBody) *[]cancelflow.Offer {
	out := make([]cancelflow.Offer, len(list))
	for i, o := range list {
		out[i] = cancelflow.Offer(o)
	}
	return &out
}

func viewCancelReason(_ program.Query, _ journal.Ref, row store.Row) (cancelReasonView, error) {
	s, ok := row.State.(*cancelflow.Reason)
	if !ok {
		return cancelReasonView{}, fault.New(fault.NotFound, "unknown_cancel_reason", "There is no such reason in this shop.")
	}
	v := cancelReasonView{ID: s.ID, Version: row.Version, Label: s.Label, Position: s.Position, AskWords: s.AskWords, Offers: []cancelOfferBody{}}
	if s.ParentID != "" {
		v.ParentID = &s.ParentID
	}
	for _, o := range s.Offers {
		v.Offers = append(v.Offers, cancelOfferBody(o))
	}
	return v, nil
}

func viewCancelFlow(q program.Query, _ journal.Ref, row store.Row) (cancelFlowView, error) {
	s, ok := row.State.(*cancelflow.Flow)
	if !ok {
		return cancelFlowView{}, fault.New(fault.NotFound, "unknown_cancel_flow", "There is no such cancel flow in this shop.")
	}
	reasons, err := nested(q, s.ID, journal.CancelReason, viewCancelReason)
	slices.SortStableFunc(reasons, func(a, b cancelReasonView) int { return cmp.Compare(a.Position, b.Position) })
	return cancelFlowView{ID: s.ID, Version: row.Version, Name: s.Name, Status: s.Status, Weight: s.Weight, Intro: s.Intro, Audience: audienceBody(s.Audience), Reasons: reasons, CreatedAt: s.CreatedAt}, err
}

func (a *API) cancelFlows() {
	a.views[journal.CancelFlow] = anyView(viewCancelFlow)
	a.views[journal.CancelReason] = anyView(viewCancelReason)
	const tag = "Cancel flows"
	const all, single = "/cancel-flows/{id}/reasons", "/cancel-flows/{id}/reasons/{part}"
	view, edit := team.CancelFlowsView, team.CancelFlowsEdit
	list(a, route{method: http.MethodGet, path: "/cancel-flows", tag: tag, summary: "List cancel flows, newest first", permission: view},
		func(in *cancelFlowFilter) (Page, any) { f := *in; f.Page = Page{}; return in.Page, f },
		func(ctx context.Context, in *cancelFlowFilter, limit int, after string) ([]cancelFlowView, error) {
			return rowsOf(ctx, a, journal.CancelFlow, query.Shelf(in.Status, cancelflow.Deleted), limit, after, viewCancelFlow)
		}, func(v cancelFlowView) string { return string(v.ID) })
	read(a, route{method: http.MethodGet, path: "/cancel-flows/results", tag: tag, summary: "What came of the sessions that began in some days", permission: view}, a.cancelResults)
	readThing(a, route{method: http.MethodGet, path: "/cancel-flows/{id}", tag: tag, summary: "Read a cancel flow with its reasons", permission: view}, journal.CancelFlow, viewCancelFlow)
	change(a, route{method: http.MethodPost, path: "/cancel-flows", tag: tag, summary: "Create a cancel flow", permission: edit, status: http.StatusCreated, events: []journal.Name{journal.CancelFlowCreated}},
		func(_ context.Context, in *withBody[createCancelFlow]) (plan, error) {
			b := in.Body
			f := cancelflow.FlowFields{Name: &b.Name, Weight: b.Weight, Intro: &b.Intro, Audience: b.Audience.audience()}
			if b.Status != "" {
				f.Status = &b.Status
			}
			return plan{command: journal.Bind(cancelflow.CreateFlow{ID: a.newID(id.CancelFlow), Fields: f}), location: "/cancel-flows/%s"}, nil
		}, viewCancelFlow)
	change(a, route{method: http.MethodPatch, path: "/cancel-flows/{id}", tag: tag, summary: "Change a cancel flow", permission: edit, events: []journal.Name{journal.CancelFlowUpdated}},
		func(_ context.Context, in *onThing[patchCancelFlow]) (plan, error) {
			b := in.Body
			c := cancelflow.UpdateFlow{ID: id.ID(in.ID), Fields: cancelflow.FlowFields{Name: b.Name, Status: b.Status, Weight: b.Weight, Intro: b.Intro, Audience: b.Audience.audience()}}
			return plan{command: journal.Bind(c), target: journal.Ref{Kind: journal.CancelFlow, ID: c.ID}}, nil
		}, viewCancelFlow)
	change(a, route{method: http.MethodDelete, path: "/cancel-flows/{id}", tag: tag, summary: "Delete a cancel flow; what came of its sessions stays", permission: edit, events: []journal.Name{journal.CancelFlowDeleted}},
		func(_ context.Context, in *dropThing) (plan, error) {
			c := cancelflow.DeleteFlow{ID: id.ID(in.ID)}
			return plan{command: journal.Bind(c), target: journal.Ref{Kind: journal.CancelFlow, ID: c.ID}}, nil
		}, viewCancelFlow)
	readPart(a, route{method: http.MethodGet, path: single, tag: tag, summary: "Read a reason", permission: view}, journal.CancelReason, viewCancelReason)
	change(a, route{method: http.MethodPost, path: all, tag: tag, summary: "Add a reason", permission: edit, status: http.StatusCreated, events: []journal.Name{journal.CancelReasonCreated}},
		func(_ context.Context, in *onThing[createCancelReason]) (plan, error) {
			b := in.Body
			c := cancelflow.CreateReason{ID: a.newID(id.CancelReason), FlowID: id.ID(in.ID), ParentID: b.ParentID,
				Fields: cancelflow.ReasonFields{Label: &b.Label, Position: b.Position, AskWords: &b.AskWords, Offers: cancelOffers(b.Offers)}}
			return plan{command: journal.Bind(c), target: journal.Ref{Kind: journal.CancelFlow, ID: c.FlowID}, location: "/cancel-flows/" + in.ID + "/reasons/%s"}, nil
		}, viewCancelReason)
	change(a, route{method: http.MethodPatch, path: single, tag: tag, summary: "Change a reason", permission: edit, events: []journal.Name{journal.CancelReasonUpdated}},
		func(ctx context.Context, in *onPart[patchCancelReason]) (plan, error) {
			b := in.Body
			ref, _, err := a.part(ctx, journal.CancelReason, in.ID, in.Part)
			c := cancelflow.UpdateReason{ID: ref.ID, Fields: cancelflow.ReasonFields{Label: b.Label, Position: b.Position, AskWords: b.AskWords}}
			if b.Offers != nil {
				c.Fields.Offers = cancelOffers(*b.Offers)
			}
			return plan{command: journal.Bind(c), target: ref}, err
		}, viewCancelReason)
	change(a, route{method: http.MethodDelete, path: single, tag: tag, summary: "Delete a reason", permission: edit, events: []journal.Name{journal.CancelReasonDeleted}},
		func(ctx context.Context, in *dropPart) (plan, error) {
			ref, _, err := a.part(ctx, journal.CancelReason, in.ID, in.Part)
			return plan{command: journal.Bind(cancelflow.DeleteReason{ID: ref.ID}), target: ref}, err
		}, viewCancelReason)
}

func (a *API) cancelResults(ctx context.Context, in *cancelRange) (cancelResults, error) {
	q := a.query(ctx)
	general, err := journal.Get[settings.General](program.NewReader(q.Ctx, q.S, q.Q), journal.Settings, settings.PageGeneral)
	if err != nil {
		return cancelResults{}, err
	}
	now := a.Program.Now()
	to := settings.Today(general, now)
	var f fault.Fields
	if in.To != "" {
		if to, err = civil.Parse(in.To); err != nil {
			f.Add("/to", "date_invalid", "A day is written YYYY-MM-DD.")
		}
	}
	from := to.AddDays(-89)
	if in.From != "" {
		if from, err = civil.Parse(in.From); err != nil {
			f.Add("/from", "date_invalid", "A day is written YYYY-MM-DD.")
		}
	}
	if err := f.Err(); err != nil {
		return cancelResults{}, err
	}
	zone := settings.Zone(general)
	r, err := query.CancelResults(ctx, a.Store, from.Start(zone), to.AddDays(1).Start(zone), now)
	if err != nil {
		return cancelResults{}, err
	}
	tally := func(t cancelflow.Tally) CancelTally {
		return CancelTally{t.Sessions, t.Accepted, t.Kept, t.Cancelled, t.SaveRate()}
	}
	out := cancelResults{From: from.String(), To: to.String(), Running: r.Running, All: tally(r.All), Flows: []cancelFlowTally{}, Reasons: []cancelReasonTally{}}
	for key, t := range r.Flows {
		out.Flows = append(out.Flows, cancelFlowTally{key, tally(t)})
	}
	slices.SortFunc(out.Flows, func(a, b cancelFlowTally) int { return cmp.Compare(a.FlowID, b.FlowID) })
	for key, t := range r.Reasons {
		line := cancelReasonTally{CancelTally: tally(t), Offers: []cancelflow.OfferTally{}}
		if key != "" {
			line.ReasonID = &key
		}
		for _, kind := range cancelflow.OfferKinds() {
			if o, ok := r.Offers[key][kind]; ok {
				line.Offers = append(line.Offers, o)
			}
		}
		out.Reasons = append(out.Reasons, line)
	}
	slices.SortFunc(out.Reasons, func(a, b cancelReasonTally) int {
		return cmp.Or(cmp.Compare(b.Sessions, a.Sessions), cmp.Compare(str(a.ReasonID), str(b.ReasonID)))
	})
	return out, nil
}

func str(key *id.ID) id.ID {
	if key == nil {
		return ""
	}
	return *key
}
