package demo_test

import (
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"testing"
	"time"

	"perennial/internal/db"
	"perennial/internal/demo"
	"perennial/internal/engine"
	"perennial/internal/journal"
	"perennial/internal/payment/simulated"
	"perennial/internal/server"
	"perennial/internal/store"
	"perennial/internal/team"
	"perennial/internal/test/shop"
	"perennial/internal/view"
)

var until = time.Date(2026, 6, 30, 12, 0, 0, 0, time.UTC)

func live(t *testing.T, n int, seed uint64) *shop.Shop {
	t.Helper()
	clock := demo.NewClock(demo.Begin(until), time.Now)
	s := shop.OpenWith(t, t.TempDir(), clock.Now, demo.NewRandom(seed), db.Options{Relaxed: true})
	e, reports := billed(s, clock)
	made, err := demo.Make(t.Context(), s.Program, s.Store, e, clock, demo.Options{Subscriptions: n, Seed: seed, Until: until, Reports: reports}, func(int, int64) {})
	if err != nil {
		t.Fatal(err)
	}
	if made.SubscriptionID == "" || made.CustomerID == "" || made.CustomerEmail == "" {
		t.Errorf("nobody to show: %+v", made)
	}
	return s
}

// billed is the engine of a demo, and the reports of its gateway.
func billed(s *shop.Shop, clock *demo.Clock) (*engine.Engine, demo.Reports) {
	g, log := simulated.New(clock.Now, simulated.Options{}), slog.New(slog.DiscardHandler)
	e := engine.New(s.Program, s.Store, g, log)
	return e, server.NewReports(s.Program, s.Store, e, g, log).Pump
}

// story is what the same seed has to give again: types, times, targets and plain values.
func story(t *testing.T, s *shop.Shop) []string {
	t.Helper()
	var out []string
	for st, err := range s.Store.Events(t.Context(), s.Store.Read, store.Closed, 0, 0) {
		if err != nil {
			t.Fatal(err)
		}
		var line strings.Builder
		fmt.Fprintf(&line, "%s %s %v %v", st.RecordedAt.Format(time.RFC3339Nano), st.Type, st.Targets, st.Actor)
		for _, c := range st.Changes {
			fmt.Fprintf(&line, " %s:%s>%s", c.Field, c.Before, c.After)
		}
		out = append(out, line.String())
	}
	return out
}

func TestTheSameSeedLivesTheSameYear(t *testing.T) {
	if testing.Short() {
		t.Skip("one goroutine does it all, and takes long")
	}
	a, b := story(t, live(t, 25, 7)), story(t, live(t, 25, 7))
	for i := range min(len(a), len(b)) {
		// The shop's id and what is derived from it differ as little as anything else: the ids come from the seed too.
		if a[i] != b[i] {
			t.Fatalf("entry %d differs:\n%s\n%s", i, a[i], b[i])
		}
	}
	if len(a) != len(b) {
		t.Errorf("%d and %d entries", len(a), len(b))
	}
}

func TestAYearIsBelievable(t *testing.T) {
	if testing.Short() {
		t.Skip("one goroutine does it all, and takes long")
	}
	s := live(t, 120, 1)
	seen := map[string]int{}
	actors := map[journal.ActorKind]int{}
	for st, err := range s.Store.Events(t.Context(), s.Store.Read, store.Closed, 0, 0) {
		if err != nil {
			t.Fatal(err)
		}
		seen[string(st.Type)]++
		actors[st.Actor.Kind]++
		if st.RecordedAt.After(until) {
			t.Fatalf("entry %d was recorded at %s, after the end", st.Seq, st.RecordedAt)
		}
	}
	for _, typ := range []string{
		"subscription.created", "subscription.renewed", "subscription.paused", "subscription.resumed", "subscription.order_skipped", "subscription.cancelled", "cancel_session.offer_accepted", "cancel_session.completed",
		"subscription.item_swapped", "subscription.next_billing_date_changed", "billing_attempt.failed", "recovery.entered", "recovery.recovered", "order.placed", "order.fulfilled",
		"order.disputed", "order.dispute_won", "order.dispute_lost", "payment_method.expiring", "payment_method.updated",
		"variant.updated", "selling_plan.updated", "access.denied", "team_member.joined",
		"team_member.logged_in", "team_member.login_failed", "team_member.logged_out", "shipping_settings.updated", "external.parcel_delivered",
	} {
		if seen[typ] == 0 {
			t.Errorf("in a whole year nobody made a %s", typ)
		}
	}
	for _, k := range []journal.ActorKind{journal.ActorCustomer, journal.ActorTeamMember, journal.ActorSystem, journal.ActorAPIKey, journal.ActorIntegration} {
		if actors[k] == 0 {
			t.Errorf("no %s did anything", k)
		}
	}
	if n := seen["subscription.renewed"]; n < 300 {
		t.Errorf("only %d renewals", n)
	}
	readable(t, s)
}

// forPrograms is what nobody should have to read: ids, codes and JSON.
var forPrograms = regexp.MustCompile(`\b[a-z]+_[0-9a-z]|[{}"]`)

// readable holds the values of every entry of the year, and its details, to what people read.
func readable(t *testing.T, s *shop.Shop) {
	t.Helper()
	r := view.New(t.Context(), s.Store, team.Everything())
	var page []store.Stored
	told := map[string]bool{}
	wrong := func(typ, field string, v view.Value) {
		for _, line := range v.Lines {
			if key := typ + " " + field; forPrograms.MatchString(line) && !told[key] {
				told[key] = true
				t.Errorf("%s: %s is %q", typ, field, line)
			}
		}
	}
	look := func() {
		shown, err := r.Render(page)
		if err == nil {
			err = r.LearnValues(shown)
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range shown {
			for _, d := range r.Deltas(e) {
				if !d.Internal {
					wrong(e.Type, d.Field, d.Before)
					wrong(e.Type, d.Field, d.After)
				}
			}
			for _, d := range e.Details {
				if d.Name != "path" && d.Name != "account" { // as somebody asked for it, as the gateway calls it
					wrong(e.Type, d.Name, r.Detail(e, d))
				}
			}
		}
		page = page[:0]
	}
	for st, err := range s.Store.Events(t.Context(), s.Store.Read, store.Opened, 0, 0) {
		if err != nil {
			t.Fatal(err)
		}
		if page = append(page, st); len(page) == 200 {
			look()
		}
	}
	look()
}

func TestTheEngineRunsThroughAGap(t *testing.T) {
	clock := demo.NewClock(demo.Begin(until), time.Now)
	s := shop.OpenWith(t, t.TempDir(), clock.Now, demo.NewRandom(3), db.Options{Relaxed: true})
	e, reports := billed(s, clock)
	if _, err := demo.Make(t.Context(), s.Program, s.Store, e, clock, demo.Options{Subscriptions: 10, Seed: 3, Until: until, Reports: reports}, func(int, int64) {}); err != nil {
		t.Fatal(err)
	}
	before := s.Program.Head()
	if err := demo.RunThrough(t.Context(), e, reports, clock, until.AddDate(0, 0, 62), func(int, int) {}); err != nil {
		t.Fatal(err)
	}
	if s.Program.Head() == before {
		t.Error("nobody was billed in two months")
	}
	months, err := s.Store.Keys.NetworkMonths(t.Context(), s.Store.Read)
	if err != nil || len(months) == 0 || months[0] != "2025-08" {
		t.Errorf("network data is kept of %v (%v), want nothing before August 2025", months, err)
	}
}
