package view

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"perennial/internal/civil"
	"perennial/internal/fault"
	"perennial/internal/find"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/observe"
	"perennial/internal/program"
	"perennial/internal/settings"
	"perennial/internal/store"
)

// Filter holds the filters that logs, downloads and streams share.
type Filter struct {
	Type          []string `query:"type,explode" maxItems:"100" doc:"Types of the catalogue, or families such as subscription.*."`
	Category      []string `query:"category,explode" maxItems:"50"`
	ActorKind     []string `query:"actor_kind,explode" maxItems:"20"`
	ActorID       []string `query:"actor_id,explode" maxItems:"50"`
	Channel       []string `query:"channel,explode" maxItems:"20"`
	Target        []string `query:"target,explode" maxItems:"100" doc:"Ids of things; an event that names one of them is meant."`
	CorrelationID string   `query:"correlation_id" maxLength:"100"`
	From          string   `query:"from" maxLength:"40" doc:"Recorded at or after: an RFC 3339 time, or a date in the shop's zone."`
	To            string   `query:"to" maxLength:"40" doc:"Recorded before: an RFC 3339 time, or a date in the shop's zone."`
	Q             string   `query:"q" maxLength:"200" doc:"What the summary has to have, all of it: words, whole numbers, sums (28.28 or 28,28 €), dates (26 November 2026 or 2026-11-26), phrases in quotes; an id finds what is about it. Outside quotes also a name or an e-mail address: the events about or by those people."`
}

// The closed lists of the filters' values.
var (
	actorKinds = []string{string(journal.ActorTeamMember), string(journal.ActorCustomer), string(journal.ActorSystem), string(journal.ActorAPIKey),
		string(journal.ActorIntegration), string(journal.ActorImport), string(journal.ActorAnonymous)}
	channels = []string{string(journal.ChannelDashboard), string(journal.ChannelPortal), string(journal.ChannelQuickAction), string(journal.ChannelAPI),
		string(journal.ChannelBilling), string(journal.ChannelImport), string(journal.ChannelBulk), string(journal.ChannelCLI), string(journal.ChannelWebhook),
		string(journal.ChannelMigration)}
	families, categories = typeGroups()
)

// typeGroups gives the families and categories of the catalogue, sorted.
func typeGroups() (families, categories []string) {
	f, c := map[string]bool{}, map[string]bool{}
	for _, t := range journal.Types() {
		f[t.Family()+".*"], c[t.Category] = true, true
	}
	return slices.Sorted(maps.Keys(f)), slices.Sorted(maps.Keys(c))
}

// Parse checks the filters of a query and gives them as the index knows them; dates are the zone's. A value that can match
// nothing because it is not in the catalogue is refused: it is a typing error, and an empty list would hide it.
func (q *Filter) Parse(zone *time.Location) (find.Filter, error) {
	var f fault.Fields
	flt := find.Filter{Categories: q.Category, ActorKinds: q.ActorKind, ActorIDs: q.ActorID, Channels: q.Channel,
		CorrelationID: q.CorrelationID, Words: strings.TrimSpace(q.Q)}
	for _, t := range q.Type {
		flt.Types = append(flt.Types, journal.Name(t))
		row, known := journal.Lookup(journal.Name(t))
		if strings.HasPrefix(t, journal.External) {
			known = observe.ValidExternal(t)
		}
		if !known && !slices.Contains(families, t) {
			f.Add("/query/type", "unknown_event_type", "There is no event type {type}. See /event-types.", "type", t)
		}
		flt.Hidden = flt.Hidden || row.Hidden || t == "log.*"
	}
	oneOf := func(name string, values, known []string) {
		for _, v := range values {
			if !slices.Contains(known, v) {
				f.Add("/query/"+name, "unknown_filter", "{value} is none of {values}.", "value", v, "values", known)
			}
		}
	}
	oneOf("category", q.Category, categories)
	oneOf("actor_kind", q.ActorKind, actorKinds)
	oneOf("channel", q.Channel, channels)
	for _, t := range q.Target {
		flt.Targets = append(flt.Targets, id.ID(t))
	}
	flt.From = instant(&f, "/query/from", q.From, zone)
	flt.To = instant(&f, "/query/to", q.To, zone)
	return flt, f.Err()
}

// Zone is a shop's time zone, in which dates are meant and times are shown.
func Zone(ctx context.Context, s *store.Store) (*time.Location, error) {
	g, err := journal.Find[settings.General](program.NewReader(ctx, s, s.Read), journal.Settings, settings.PageGeneral)
	return settings.Zone(g), err
}

// LastDay makes the end of a range of what a person gave as its last day: a day belongs to the range, and so its end is the day after. What
// is no date stays as it is.
func LastDay(s string) string {
	d, err := civil.Parse(strings.TrimSpace(s))
	if err != nil {
		return s
	}
	return d.AddDays(1).String()
}

// instant reads a time, or a date as its first moment in the zone. Times of the journal have microseconds, so one
// between two of them counts as the later.
func instant(f *fault.Fields, at, s string, zone *time.Location) time.Time {
	if s == "" {
		return time.Time{}
	}
	if d, err := civil.Parse(s); err == nil {
		return d.Start(zone)
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		f.Add(at, "time_invalid", "Give an RFC 3339 time such as 2027-03-01T00:00:00Z, or a date such as 2027-03-01.")
		return time.Time{}
	}
	if short := journal.Truncate(t); short.Before(t) {
		return short.Add(time.Microsecond)
	}
	return t.UTC()
}

// Words gives a filter as a download's entry keeps it. What was searched for may be somebody's name, so the entry
// says only that something was.
func (q *Filter) Words(order string) ([]byte, error) {
	m := map[string]any{"order": order}
	put := func(name string, values ...string) {
		if values = slices.DeleteFunc(slices.Clone(values), func(s string) bool { return s == "" }); len(values) > 0 {
			m[name] = values
		}
	}
	put("type", q.Type...)
	put("category", q.Category...)
	put("actor_kind", q.ActorKind...)
	put("actor_id", q.ActorID...)
	put("channel", q.Channel...)
	put("target", q.Target...)
	put("correlation_id", q.CorrelationID)
	put("from", q.From)
	put("to", q.To)
	if q.Q != "" {
		m["q"] = []string{Mask}
	}
	return json.Marshal(m)
}
