package api

import (
	"context"

	"perennial/internal/billing"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/money"
	"perennial/internal/store"
	"perennial/internal/view"
)

type (
	explanationView struct {
		OrderID id.ID        `json:"order_id"`
		Number  string       `json:"number"`
		Total   money.Amount `json:"total"`
		Lines   []reasonView `json:"lines" nullable:"false"`
	}
	// reasonView is one line of an explanation.
	reasonView struct {
		Kind    billing.ReasonKind `json:"kind" enum:"plan,item,pricing,discount,delivery,tax,change,story"`
		Text    string             `json:"text" doc:"One plain sentence without personal values."`
		Amount  *money.Amount      `json:"amount" doc:"Its part of the total; those of an order add up to it."`
		About   view.MaybeParty    `json:"about" doc:"The variant, discount, plan or payment method that it is about."`
		Actor   view.Party         `json:"actor" doc:"Who brought it about."`
		At      journal.Time       `json:"at"`
		EventID id.ID              `json:"event_id" doc:"The entry that it rests on."`
	}
)

// explainOrder reads the histories of an order and of what it came of, and explains the order from them.
func (a *API) explainOrder(ctx context.Context, in *byID) (explanationView, error) {
	_, row, err := a.get(ctx, journal.Order, in.ID)
	if err != nil {
		return explanationView{}, err
	}
	o := row.State.(*billing.Order)
	reasons, err := view.Explain(ctx, a.Store, o)
	if err != nil {
		return explanationView{}, err
	}
	r := a.renderer(ctx)
	var events []store.Stored
	var about []journal.Ref
	for _, line := range reasons {
		events, about = append(events, store.Stored{Event: line.Event}), append(about, line.About)
	}
	if err := r.Learn(events, about...); err != nil {
		return explanationView{}, err
	}
	v := explanationView{OrderID: o.ID, Number: o.Number, Total: o.Total}
	for _, line := range reasons {
		l := reasonView{Kind: line.Kind, Text: line.Text, Amount: line.Amount, Actor: r.Actor(line.Event), At: journal.At(line.Event.RecordedAt), EventID: line.Event.ID}
		if line.About.ID != "" {
			l.About.Party = new(r.Thing(line.About, line.Event.Seq))
		}
		v.Lines = append(v.Lines, l)
	}
	return v, nil
}

// causes gives an entry, the one that caused it, the one that caused that, and so on back to the first.
func (a *API) causes(ctx context.Context, in *byID) ([]view.Event, error) {
	chain, err := view.Causes(ctx, a.Store, id.ID(in.ID))
	if err != nil {
		return nil, err
	}
	return a.renderer(ctx).Render(chain)
}
