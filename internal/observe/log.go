// Package observe makes the entries about what is only observed and changes no state: a log that was read, exported or checked, a
// shop that moved, what the operator accepted, and events of other systems, which stand on the same timeline as what happened here.
// An event from outside mentions the things that it is about, which have to exist, with the customer that they belong to. Its
// summary is searched and shown to everybody who may see the event, so it must not hold personal values; its details are sealed
// under the key of the customer that it is about, and erased with that key.
package observe

import (
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"perennial/internal/id"
	"perennial/internal/journal"
)

// Log is a log that somebody reads.
type Log struct {
	Name         string // "activity", "customer", "subscription" or "explorer"
	Customer     id.ID  // whose log it is, or whose subscription's; empty for the others
	Subscription id.ID  // whose log it is; empty for the others
}

// Ref names the log as a target: by the id of the thing whose log it is, or by the log's name.
func (l Log) Ref() journal.Ref {
	switch {
	case l.Subscription != "":
		return journal.Ref{Kind: journal.Log, ID: l.Subscription}
	case l.Customer != "":
		return journal.Ref{Kind: journal.Log, ID: l.Customer}
	}
	return journal.Ref{Kind: journal.Log, ID: id.ID(l.Name)}
}

func (l Log) mentions() []journal.Ref {
	return []journal.Ref{{Kind: journal.Subscription, ID: l.Subscription}, {Kind: journal.Customer, ID: l.Customer}}
}

// World is nothing: what was read was read.
type World struct{}

// ViewLog is the entry of a log that was looked at.
type ViewLog struct{ Log Log }

type viewDetails struct {
	Log            string `json:"log"`
	CustomerID     id.ID  `json:"customer_id,omitzero"`
	SubscriptionID id.ID  `json:"subscription_id,omitzero"`
}

func (ViewLog) Load(journal.Reader) (World, error) { return World{}, nil }

func (c ViewLog) Decide(World, time.Time) (journal.Decision, error) {
	return journal.Decision{
		Drafts: []journal.Draft{{Type: journal.LogViewed, Target: c.Log.Ref(), Mentions: c.Log.mentions(),
			Details: viewDetails{c.Log.Name, c.Log.Customer, c.Log.Subscription}}},
		Result: c.Log.Ref(),
	}, nil
}

// ExportLog is the entry of a log that was downloaded.
type ExportLog struct {
	Log    Log
	Format string         // "csv" or "ndjson"
	Filter jsontext.Value // what it was filtered by: an object without personal values
}

type exportDetails struct {
	Log    string         `json:"log"`
	Format string         `json:"format"`
	Filter jsontext.Value `json:"filter,omitzero"`
}

func (ExportLog) Load(journal.Reader) (World, error) { return World{}, nil }

func (c ExportLog) Decide(World, time.Time) (journal.Decision, error) {
	return journal.Decision{
		Drafts: []journal.Draft{{Type: journal.LogExported, Target: c.Log.Ref(), Mentions: c.Log.mentions(),
			Details: exportDetails{c.Log.Name, c.Format, c.Filter}}},
		Result: c.Log.Ref(),
	}, nil
}
