package cancelflow

import (
	"slices"
	"time"

	"perennial/internal/catalog"
	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/settings"
	"perennial/internal/subscription"
)

// reuse is how long an open session is gone on with; after that it counts as abandoned.
const reuse = 24 * time.Hour

// World is what the rules of a session may see.
type World struct {
	General      *settings.General
	Settings     *settings.CancelFlow
	Subscription *subscription.Subscription
	Flows        []*Flow    // the active ones
	Flow         *Flow      // of the session
	Reasons      []*Reason  // of its flow, in order
	Session      *Session   // the one that the command is about
	Sessions     []*Session // all of the customer
	Discounts    map[string]*catalog.Discount
	Variants     map[id.ID]*catalog.Variant
	Inner        journal.Decision // what an offer or the cancellation comes to
	Refusal      error            // why that cannot be
}

// Start begins a session for a subscription that could be cancelled, or finds the one that is open. Without a flow that fits there is
// none: the decision has no result. Refusals: those of a cancellation.
type Start struct {
	ID             id.ID
	SubscriptionID id.ID
}

func (c Start) Load(r journal.Reader) (w World, err error) {
	if w.Subscription, err = journal.Get[subscription.Subscription](r, journal.Subscription, c.SubscriptionID); err != nil {
		return w, err
	}
	if err = w.shop(r); err != nil {
		return w, err
	}
	if w.Flows, err = journal.Where[Flow](r, journal.CancelFlow, "status", string(Active)); err != nil {
		return w, err
	}
	w.Sessions, err = journal.Where[Session](r, journal.CancelSession, "customer_id", string(w.Subscription.CustomerID))
	return w, err
}

func (c Start) Decide(w World, now time.Time) (journal.Decision, error) {
	s := w.Subscription
	if err := s.May(subscription.ActionCancel); err != nil {
		return journal.Decision{}, err
	}
	var d journal.Decision
	for _, old := range w.Sessions {
		if old.SubscriptionID != s.ID || old.Status != Open {
			continue
		}
		if now.Sub(old.StartedAt.Time) < reuse {
			return journal.Decision{Result: old.Ref()}, nil
		}
		d.Drafts = append(d.Drafts, World{Session: old}.draft(journal.CancelSessionAbandoned, old.ended(Abandoned, now)))
	}
	var flow *Flow
	if w.Settings.Enabled {
		flow = Draw(w.Flows, s, now)
	}
	if flow == nil {
		return d, nil
	}
	next := &Session{
		ID:             c.ID,
		SubscriptionID: s.ID,
		CustomerID:     s.CustomerID,
		FlowID:         flow.ID,
		Shown:          []string{},
		Status:         Open,
		StartedAt:      journal.At(now),
	}
	d.Drafts = append(
		d.Drafts,
		journal.Draft{
			Type:     journal.CancelSessionStarted,
			After:    next,
			Mentions: append(next.mentions(), flow.Ref()),
			Details:  through{flow.Name},
		},
	)
	d.Result = next.Ref()
	return d, nil
}

// Choose says why, and shows the offers of that reason that are good now. Choosing again is another answer. Refusal: session_over.
type Choose struct {
	Session  id.ID
	ReasonID id.ID
}

func (c Choose) Load(r journal.Reader) (World, error) { return load(r, c.Session) }

func (c Choose) Decide(w World, now time.Time) (journal.Decision, error) {
	if err := w.open(); err != nil {
		return journal.Decision{}, err
	}
	reason := w.reason(c.ReasonID)
	if reason == nil {
		var f fault.Fields
		f.Add("/reason_id", "choose_one", "Choose one of the answers.")
		return journal.Decision{}, f.Err()
	}
	next := journal.Clone(w.Session)
	next.ReasonID, next.Shown = reason.ID, []string{}
	for _, i := range w.Good(reason, now) {
		next.Shown = append(next.Shown, reason.Offers[i].Kind)
	}
	d, err := changed(journal.CancelSessionOfferShown, w.Session, next, append(next.mentions(), reason.Ref())...)
	for i := range d.Drafts {
		d.Drafts[i].Details = because{w.Words(reason.ID)}
	}
	return d, err
}

// Accept takes an offer that was shown, in one act with what it does to the subscription. Refusals: session_over, not_shown, and those of
// what it does.
type Accept struct {
	Session   id.ID
	Offer     int   // its position in the reason
	ItemID    id.ID // of a swap: which item; may be empty when there is one
	NewItemID id.ID // of a gift
}

// Run implements journal.Command: what the offer does to the subscription is decided by that action's own rule.
func (c Accept) Run(r journal.Reader, now time.Time) (journal.Decision, error) {
	w, err := load(r, c.Session)
	if err != nil {
		return journal.Decision{}, err
	}
	if reason := w.reason(w.Session.ReasonID); w.Session.Status == Open && reason != nil && c.Offer >= 0 && c.Offer < len(reason.Offers) {
		if inner := reason.Offers[c.Offer].command(w.Subscription, c, settings.Today(w.General, now)); inner != nil {
			w.Inner, w.Refusal = inner.Run(r, now)
		}
	}
	return c.decide(w, now)
}

// decide is the rule, with Inner what the offer does to the subscription.
func (c Accept) decide(w World, now time.Time) (journal.Decision, error) {
	if err := w.open(); err != nil {
		return journal.Decision{}, err
	}
	reason, good := w.reason(w.Session.ReasonID), false
	if reason != nil {
		for _, i := range w.Good(reason, now) {
			good = good || i == c.Offer
		}
	}
	if !good {
		return journal.Decision{}, fault.New(fault.Conflict, "not_shown", "This offer cannot be had any more.")
	}
	if w.Refusal != nil {
		return journal.Decision{}, w.Refusal
	}
	next := w.Session.ended(Saved, now)
	next.Accepted = reason.Offers[c.Offer].Kind
	if !slices.Contains(next.Shown, next.Accepted) { // it became good after the page was shown
		next.Shown = append(next.Shown, next.Accepted)
	}
	return w.with(w.draft(journal.CancelSessionOfferAccepted, next, reason.Ref())), nil
}

// Keep ends a session with the subscription as it was.
type Keep struct{ Session id.ID }

func (c Keep) Load(r journal.Reader) (World, error) { return load(r, c.Session) }

// Decide refuses a session that is over (session_over).
func (c Keep) Decide(w World, now time.Time) (journal.Decision, error) {
	if err := w.open(); err != nil {
		return journal.Decision{}, err
	}
	return journal.Decision{
		Drafts: []journal.Draft{w.draft(journal.CancelSessionAbandoned, w.Session.ended(Abandoned, now))},
		Result: w.Subscription.Ref(),
	}, nil
}

// Complete cancels the subscription, from any point of a session; the reason is the one that was chosen, if any. Refusals:
// session_over, and those of a cancellation.
type Complete struct{ Session id.ID }

// Run implements journal.Command.
func (c Complete) Run(r journal.Reader, now time.Time) (journal.Decision, error) {
	w, err := load(r, c.Session)
	if err != nil {
		return journal.Decision{}, err
	}
	w.Inner, w.Refusal = subscription.Cancel{
		ID:     w.Subscription.ID,
		Reason: w.Words(w.Session.ReasonID),
	}.Decide(subscription.World{Subscription: w.Subscription}, now)
	return c.decide(w, now)
}

// decide is the rule, with Inner the cancellation.
func (c Complete) decide(w World, now time.Time) (journal.Decision, error) {
	if err := w.open(); err != nil {
		return journal.Decision{}, err
	}
	if w.Refusal != nil {
		return journal.Decision{}, w.Refusal
	}
	return w.with(w.draft(journal.CancelSessionCompleted, w.Session.ended(Completed, now))), nil
}

// Good gives the positions of the offers of a reason that can be made now.
func (w World) Good(reason *Reason, now time.Time) []int {
	return Good(reason, w.Subscription, w.Discounts, w.Variants, Cooling(w.Sessions, w.Settings.DiscountCooldownDays, now), now)
}

// Words is a reason as the log tells it: "Too much: I have coffee left".
func (w World) Words(reason id.ID) string {
	r := w.reason(reason)
	if r == nil {
		return ""
	}
	if above := w.reason(r.ParentID); above != nil {
		return above.Label + ": " + r.Label
	}
	return r.Label
}

// Conversation gives what a session's page shows.
func Conversation(r journal.Reader, session id.ID) (World, error) { return load(r, session) }

func (w World) open() error {
	if w.Session.Status != Open {
		return fault.New(fault.Conflict, "session_over", "This was finished already.")
	}
	return nil
}

func (w World) reason(key id.ID) *Reason {
	for _, r := range w.Reasons {
		if r.ID == key && key != "" {
			return r
		}
	}
	return nil
}

// with puts a session's end before what it brought about.
func (w World) with(end journal.Draft) journal.Decision {
	d := w.Inner
	d.Drafts = journal.AppendDrafts([]journal.Draft{end}, 1, w.Inner.Drafts...)
	d.Result = w.Subscription.Ref()
	return d
}

func (s *Session) ended(status SessionStatus, now time.Time) *Session {
	next := journal.Clone(s)
	next.Status, next.EndedAt = status, journal.AtPtr(now)
	return next
}

func (s *Session) mentions() []journal.Ref {
	return []journal.Ref{{Kind: journal.Subscription, ID: s.SubscriptionID}, {Kind: journal.Customer, ID: s.CustomerID}}
}

// through and because are the store's own words at that time, for the log.
type (
	through struct {
		Flow string `json:"flow"`
	}
	because struct {
		Reason string `json:"reason,omitzero"`
	}
)

func (w World) draft(typ journal.Name, next *Session, mentions ...journal.Ref) journal.Draft {
	return journal.Draft{
		Type:     typ,
		Before:   w.Session,
		After:    next,
		Mentions: append(next.mentions(), mentions...),
		Details:  because{w.Words(next.ReasonID)},
	}
}

// shop loads the settings.
func (w *World) shop(r journal.Reader) (err error) {
	if w.General, err = journal.Get[settings.General](r, journal.Settings, settings.PageGeneral); err != nil {
		return err
	}
	if w.Settings, err = journal.Find[settings.CancelFlow](r, journal.Settings, settings.PageCancelFlow); err == nil && w.Settings == nil {
		w.Settings = settings.Default(settings.PageCancelFlow, w.General).(*settings.CancelFlow)
	}
	return err
}

func load(r journal.Reader, session id.ID) (w World, err error) {
	if w.Session, err = journal.Get[Session](r, journal.CancelSession, session); err != nil {
		return w, err
	}
	if err = w.shop(r); err != nil {
		return w, err
	}
	if w.Subscription, err = journal.Get[subscription.Subscription](r, journal.Subscription, w.Session.SubscriptionID); err != nil {
		return w, err
	}
	if w.Flow, err = journal.Get[Flow](r, journal.CancelFlow, w.Session.FlowID); err != nil {
		return w, err
	}
	if w.Reasons, err = reasonsOf(r, w.Session.FlowID); err != nil {
		return w, err
	}
	if w.Sessions, err = journal.Where[Session](r, journal.CancelSession, "customer_id", string(w.Session.CustomerID)); err != nil {
		return w, err
	}
	w.Discounts, w.Variants = map[string]*catalog.Discount{}, map[id.ID]*catalog.Variant{}
	for _, reason := range w.Reasons {
		for _, o := range reason.Offers {
			if err := w.offer(r, o); err != nil {
				return w, err
			}
		}
	}
	return w, nil
}

// offer loads what an offer names.
func (w *World) offer(r journal.Reader, o Offer) error {
	if o.Code != "" && w.Discounts[o.Code] == nil {
		owner, _, err := r.Reserved(catalog.ScopeDiscountCode, o.Code)
		if err != nil {
			return err
		}
		if w.Discounts[o.Code], err = journal.Find[catalog.Discount](r, journal.Discount, owner); err != nil {
			return err
		}
	}
	if o.VariantID != "" && w.Variants[o.VariantID] == nil {
		v, err := journal.Find[catalog.Variant](r, journal.Variant, o.VariantID)
		if err != nil {
			return err
		}
		w.Variants[o.VariantID] = v
	}
	return nil
}

// Current gives the session of a subscription that is gone on with, nil when there is none.
func Current(r journal.Reader, s *subscription.Subscription, now time.Time) (*Session, error) {
	list, err := journal.Where[Session](r, journal.CancelSession, "customer_id", string(s.CustomerID))
	for _, c := range list {
		if c.SubscriptionID == s.ID && c.Status == Open && now.Sub(c.StartedAt.Time) < reuse {
			return c, err
		}
	}
	return nil, err
}
