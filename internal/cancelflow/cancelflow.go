// Package cancelflow holds the rules of the conversation with a subscriber who wants to cancel: the flows that the store builds, their
// reasons and offers, and the sessions in which they are used.
//
// A session begins when the subscriber opens the page, and ends when they accept an offer, keep the subscription, or cancel. It never
// stands in the way: Complete cancels from any point of it. One file holds one part: edit.go what the team builds, draw.go which flow a
// subscription gets and which offers are good for it, session.go what the subscriber does, results.go what came of it, check.go what
// must hold.
//
// A refusal is a fault: Conflict with the rule's own code, or Refused with a JSON pointer for each wrong field.
package cancelflow

import (
	"perennial/internal/civil"
	"perennial/internal/id"
	"perennial/internal/journal"
)

// Status of a flow or a reason.
type Status string

// The statuses.
const (
	Active  Status = "active"
	Off     Status = "off"      // of a flow: being built, or tried no more
	Deleted Status = "archived" // its row stays, for the sessions that name it
)

// Flow is one way of asking why. Several flows that fit the same subscription share them by weight, so that one can be tried
// against another.
type Flow struct {
	ID       id.ID    `json:"id"`
	Name     string   `json:"name"` // 1 to 100 characters, for the team
	Status   Status   `json:"status"`
	Weight   int      `json:"weight"`   // 1 to 100: its share beside the others that fit
	Intro    string   `json:"intro"`    // what the subscriber reads first; at most 500 characters
	Audience Audience `json:"audience"` // whom it is for

	CreatedAt journal.Time `json:"created_at"`
}

// Audience is a condition on a subscription; all parts must hold. The zero value fits every one.
type Audience struct {
	MinDays    int     `json:"min_days"`    // since it was created
	MaxDays    int     `json:"max_days"`    // 0: no limit
	ProductIDs []id.ID `json:"product_ids"` // it has one of these; empty: any
	MinValue   int64   `json:"min_value"`   // of the recurring items of an order, in minor units
	MaxValue   int64   `json:"max_value"`   // 0: no limit
}

// Reason is one answer to "why", in a flow. A reason with a parent is a closer answer below it.
type Reason struct {
	ID       id.ID   `json:"id"`
	FlowID   id.ID   `json:"flow_id"`
	ParentID id.ID   `json:"parent_id"` // empty: an answer of its own
	Label    string  `json:"label"`     // 1 to 100 characters, as the subscriber reads it
	Position int     `json:"position"`  // 0 to 999, rising
	AskWords bool    `json:"ask_words"` // asks for a few words too
	Offers   []Offer `json:"offers"`    // at most MaxOffers, in order
	Status   Status  `json:"status"`
}

// The kinds of offer.
const (
	OfferSkip      = "skip"      // skip the next order
	OfferPause     = "pause"     // for Days days
	OfferSwap      = "swap"      // an item for VariantID
	OfferFrequency = "frequency" // every IntervalCount Interval
	OfferDiscount  = "discount"  // the discount with the code Code
	OfferGift      = "gift"      // VariantID for nothing, with the next order
	OfferTalk      = "talk"      // write to the store; changes nothing
)

// Offer is something in place of the cancellation.
type Offer struct {
	Kind          string     `json:"kind"`
	Text          string     `json:"text"` // a sentence to the subscriber; at most 200 characters, may be empty
	Days          int        `json:"days,omitzero"`
	Interval      civil.Unit `json:"interval,omitzero"`
	IntervalCount int        `json:"interval_count,omitzero"`
	Code          string     `json:"code,omitzero"`
	VariantID     id.ID      `json:"variant_id,omitzero"`
}

// SessionStatus says how a session stands.
type SessionStatus string

// The statuses of a session.
const (
	Open      SessionStatus = "open"
	Saved     SessionStatus = "saved"     // an offer was accepted
	Abandoned SessionStatus = "abandoned" // the subscription was kept as it was
	Completed SessionStatus = "completed" // it was cancelled
)

// Session is one subscriber's way through a flow. It holds nothing personal: what they wrote is the comment of its entries.
type Session struct {
	ID             id.ID         `json:"id"`
	SubscriptionID id.ID         `json:"subscription_id"`
	CustomerID     id.ID         `json:"customer_id"`
	FlowID         id.ID         `json:"flow_id"`
	ReasonID       id.ID         `json:"reason_id"` // the closest answer; empty: none yet
	Shown          []string      `json:"shown"`     // the kinds of the offers that were shown
	Accepted       string        `json:"accepted"`  // the kind of the offer that was accepted
	Status         SessionStatus `json:"status"`
	StartedAt      journal.Time  `json:"started_at"`
	EndedAt        *journal.Time `json:"ended_at"`
}

func (f *Flow) Ref() journal.Ref    { return journal.Ref{Kind: journal.CancelFlow, ID: f.ID} }
func (r *Reason) Ref() journal.Ref  { return journal.Ref{Kind: journal.CancelReason, ID: r.ID} }
func (s *Session) Ref() journal.Ref { return journal.Ref{Kind: journal.CancelSession, ID: s.ID} }

// Person is nobody: a flow is the store's.
func (*Flow) Person() id.ID { return "" }

// Person is nobody: a reason is the store's.
func (*Reason) Person() id.ID { return "" }

// Person is the customer, whose key seals what they wrote.
func (s *Session) Person() id.ID { return s.CustomerID }
