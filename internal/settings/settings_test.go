package settings_test

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/journal/journaltest"
	"perennial/internal/money"
	"perennial/internal/settings"
)

var now = time.Date(2027, time.March, 3, 12, 0, 0, 0, time.UTC)

// subscribed stands for a subscription: only its status matters here.
type subscribed struct {
	ID     id.ID  `json:"id"`
	Status string `json:"status"`
}

func (s *subscribed) Ref() journal.Ref { return journal.Ref{Kind: journal.Subscription, ID: s.ID} }
func (*subscribed) Person() id.ID      { return "" }

func newWorld() *journaltest.World {
	w := journaltest.NewWorld("shop_00000001")
	w.Fresh[journal.Settings] = settings.Fresh
	w.Columns[journal.Subscription] = map[string]journaltest.Column{
		"status": func(s journal.State) string { return s.(*subscribed).Status },
	}
	return w
}

func foundedWorld(t testing.TB) *journaltest.World {
	t.Helper()
	w := newWorld()
	for _, d := range settings.Defaults("Kiosk", "Europe/Berlin", "EUR") {
		if _, err := save(w, d); err != nil {
			t.Fatalf("save of the default page %s: %v", d.Ref().ID, err)
		}
	}
	return w
}

func save(w *journaltest.World, d settings.Document) ([]*journal.Event, error) {
	_, events, err := w.Run(journal.Bind(settings.Update{Document: d}), now)
	return events, err
}

func page[T any](w *journaltest.World, p id.ID) T {
	return w.States[journal.Ref{Kind: journal.Settings, ID: p}].(T)
}

// pointers gives the fields of a refusal, or its code when it is about none.
func pointers(err error) []string {
	f := fault.As(err)
	if f == nil {
		return nil
	}
	if len(f.Fields) == 0 {
		return []string{f.Code}
	}
	var out []string
	for _, field := range f.Fields {
		out = append(out, field.Pointer)
	}
	return out
}

func TestDefaultsAreTheFirstSave(t *testing.T) {
	w := foundedWorld(t)
	var got []string
	for _, e := range w.Events {
		got = append(got, string(e.Type))
		if e.TargetVersion != 1 {
			t.Errorf("%s has version %d of its page, want 1", e.Type, e.TargetVersion)
		}
	}
	want := []string{
		"account_settings.updated", "billing_settings.updated", "recovery_settings.updated", "shipping_settings.updated",
		"portal_settings.updated", "log_settings.updated",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	for _, d := range settings.Defaults("Kiosk", "Europe/Berlin", "EUR") {
		if events, err := save(w, d); err != nil || len(events) > 0 {
			t.Errorf("the same page %s again: %d events, %v; want none", d.Ref().ID, len(events), err)
		}
	}
}

func TestPagesNeedTheGeneralPage(t *testing.T) {
	_, err := save(newWorld(), &settings.Log{NetworkRetentionMonths: 1})
	if got := fault.As(err); got == nil || got.Kind != fault.NotFound {
		t.Errorf("save without the page general: %v, want not found", err)
	}
}

func TestRefusedFields(t *testing.T) {
	eur := money.Amount{Currency: "EUR"}
	tests := []struct {
		name string
		doc  settings.Document
		want []string
	}{
		{"general: all at once", &settings.General{TimeZone: "Mars/Olympus", Currency: "XXQ", SupportEmail: "nobody"},
			[]string{"/name", "/time_zone", "/currency", "/locale", "/support_email"}},
		{"general: the machine's own zone", &settings.General{Name: "K", TimeZone: "Local", Currency: "EUR", Locale: "de"}, []string{"/time_zone"}},
		{"billing: below", &settings.Billing{BillingHour: -1, CutoffDays: -1, TaxBasisPoints: -1},
			[]string{"/billing_hour", "/cutoff_days", "/tax_basis_points", "/max_catch_up_orders"}},
		{"billing: above", &settings.Billing{BillingHour: 24, CutoffDays: 31, TaxBasisPoints: 10_001, MaxCatchUpOrders: 13},
			[]string{"/billing_hour", "/cutoff_days", "/tax_basis_points", "/max_catch_up_orders"}},
		{"recovery: not rising", &settings.Recovery{RetryDays: []int{3, 3, 61}, EndAction: "shout"}, []string{"/retry_days/1", "/retry_days/2", "/end_action"}},
		{"recovery: both", &settings.Recovery{RetryDays: []int{1}, Phases: []settings.RecoveryPhase{{Attempts: 1, IntervalDays: 1}}, EndAction: settings.EndSkip}, []string{"/phases"}},
		{"recovery: phases", &settings.Recovery{Phases: []settings.RecoveryPhase{{Attempts: 11, IntervalDays: 60}}, RetryHour: new(24), EndAction: settings.EndSkip},
			[]string{"/phases/0/attempts", "/retry_hour"}},
		{"recovery: phases that take too long together", &settings.Recovery{Phases: []settings.RecoveryPhase{{Attempts: 10, IntervalDays: 60}}, EndAction: settings.EndSkip}, []string{"/phases"}},
		{"recovery: keep trying, never", &settings.Recovery{EndAction: settings.EndKeep}, []string{"/end_action"}},
		{"recovery: eleven", &settings.Recovery{RetryDays: []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}, EndAction: settings.EndSkip}, []string{"/retry_days"}},
		{"shipping: negative", &settings.Shipping{DefaultDeliveryPrice: money.Amount{Minor: -1, Currency: "EUR"}}, []string{"/default_delivery_price/amount"}},
		{"shipping: too much", &settings.Shipping{DefaultDeliveryPrice: money.Amount{Minor: 1_000_000_000_001, Currency: "EUR"}}, []string{"/default_delivery_price/amount"}},
		{"shipping: no currency", &settings.Shipping{}, []string{"/default_delivery_price/currency"}},
		{"shipping: foreign currency", &settings.Shipping{DefaultDeliveryPrice: money.Amount{Currency: "USD"}}, []string{"/default_delivery_price/currency"}},
		{"shipping: countries", &settings.Shipping{DefaultDeliveryPrice: eur, Countries: []string{"DE", "de", "DE"}}, []string{"/countries/1", "/countries/2"}},
		{"portal", &settings.Portal{Actions: []string{"pause", "fly", "pause"}, MaxSkipsInRow: -1, MaxDaysAhead: 731},
			[]string{"/actions/1", "/actions/2", "/max_skips_in_row", "/max_days_ahead"}},
		{"portal: looks", &settings.Portal{MaxDaysAhead: 5, MinDaysAhead: 6, Language: "it", Welcome: "a\u202e", SupportContact: "a\nb", BrandColor: "blue", LogoURL: "http://shop.example/logo.png", CornerRadius: new(25)},
			[]string{"/min_days_ahead", "/language", "/welcome", "/support_contact", "/brand_color", "/logo_url", "/corner_radius"}},
		{"log", &settings.Log{NetworkRetentionMonths: 121}, []string{"/network_retention_months"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := foundedWorld(t)
			before := len(w.Events)
			_, err := save(w, tt.doc)
			if diff := cmp.Diff(tt.want, pointers(err)); diff != "" {
				t.Errorf("refused fields (-want +got):\n%s", diff)
			}
			if len(w.Events) != before {
				t.Errorf("a refused save made %d events", len(w.Events)-before)
			}
		})
	}
}

func TestCountriesAreKeptSorted(t *testing.T) {
	w := foundedWorld(t)
	doc := &settings.Shipping{DefaultDeliveryPrice: money.Of(490, "EUR"), Countries: []string{"FR", "AT", "DE"}}
	if _, err := save(w, doc); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"AT", "DE", "FR"}, page[*settings.Shipping](w, settings.PageShipping).Countries); diff != "" {
		t.Errorf("countries (-want +got):\n%s", diff)
	}
	if events, err := save(w, &settings.Shipping{DefaultDeliveryPrice: money.Of(490, "EUR"), Countries: []string{"DE", "FR", "AT"}}); err != nil || len(events) > 0 {
		t.Errorf("the same countries in another order: %d entries, %v", len(events), err)
	}
	if doc.Countries[0] != "FR" {
		t.Error("the command changed the caller's document")
	}
}

func TestCurrency(t *testing.T) {
	change := func(w *journaltest.World) ([]*journal.Event, error) {
		next := journal.Clone(page[*settings.General](w, settings.PageGeneral))
		next.Currency = "USD"
		return save(w, next)
	}
	t.Run("takes the delivery price along", func(t *testing.T) {
		w := foundedWorld(t)
		if _, err := save(w, &settings.Shipping{DefaultDeliveryPrice: money.Of(490, "EUR"), Countries: []string{"DE"}}); err != nil {
			t.Fatal(err)
		}
		events, err := change(w)
		if err != nil || len(events) != 2 {
			t.Fatalf("%d events, %v; want 2", len(events), err)
		}
		want := &settings.Shipping{DefaultDeliveryPrice: money.Zero("USD"), Countries: []string{"DE"}}
		if diff := cmp.Diff(want, page[*settings.Shipping](w, settings.PageShipping)); diff != "" {
			t.Errorf("shipping (-want +got):\n%s", diff)
		}
	})
	for _, status := range []string{"active", "paused", "failed", "cancelled", "expired"} {
		t.Run("with a subscription that is "+status, func(t *testing.T) {
			w := foundedWorld(t)
			s := &subscribed{"sub_1", status}
			w.States[s.Ref()] = s
			if _, err := change(w); !slices.Equal(pointers(err), []string{"currency_in_use"}) {
				t.Errorf("error %v, want currency_in_use", err)
			}
			next := journal.Clone(page[*settings.General](w, settings.PageGeneral))
			next.Name = "Other"
			if _, err := save(w, next); err != nil {
				t.Errorf("another change of the page: %v", err)
			}
		})
	}
}

func TestZone(t *testing.T) {
	late := time.Date(2027, time.March, 3, 23, 30, 0, 0, time.UTC)
	tests := []struct {
		general *settings.General
		zone    string
		today   string
	}{
		{nil, "UTC", "2027-03-03"},
		{&settings.General{TimeZone: "Europe/Berlin"}, "Europe/Berlin", "2027-03-04"},
		{&settings.General{TimeZone: "America/New_York"}, "America/New_York", "2027-03-03"},
		{&settings.General{TimeZone: "nowhere"}, "UTC", "2027-03-03"},
	}
	for _, tt := range tests {
		if got := settings.Zone(tt.general).String(); got != tt.zone {
			t.Errorf("Zone(%v) = %s, want %s", tt.general, got, tt.zone)
		}
		if got := settings.Today(tt.general, late).String(); got != tt.today {
			t.Errorf("Today(%v) = %s, want %s", tt.general, got, tt.today)
		}
	}
}

func TestUnknownPage(t *testing.T) {
	if d := settings.Default("weather", &settings.General{}); d != nil {
		t.Errorf("Default of an unknown page = %v, want nil", d)
	}
	if f := settings.Fresh("weather"); f != nil {
		t.Error("Fresh of an unknown page is not nil")
	}
}

func TestUndo(t *testing.T) {
	w := foundedWorld(t)
	general := page[*settings.General](w, settings.PageGeneral)
	tests := []struct {
		name     string
		event    *journal.Event
		restored journal.State
		want     string
	}{
		{"a name", &journal.Event{TargetVersion: 2, Changes: []journal.Change{{Field: "name"}}}, general, ""},
		{"the first save", &journal.Event{TargetVersion: 1}, &settings.Log{}, "undo_first"},
		{"the currency", &journal.Event{TargetVersion: 2, Changes: []journal.Change{{Field: "name"}, {Field: "currency"}}}, general, "undo_currency"},
		{"a price in another currency", &journal.Event{TargetVersion: 2}, &settings.Shipping{DefaultDeliveryPrice: money.Zero("USD")}, "undo_currency"},
		{"what is not accepted any more", &journal.Event{TargetVersion: 2}, &settings.Portal{Actions: []string{"fly"}, MaxDaysAhead: 1}, "undo_not_allowed"},
		{"something else", &journal.Event{TargetVersion: 2}, &subscribed{}, "undo_not_allowed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := ""
			if f := fault.As(settings.Undo(tt.event, now, tt.restored, tt.restored, general)); f != nil {
				got = f.Code
			}
			if got != tt.want {
				t.Errorf("code %q, want %q", got, tt.want)
			}
		})
	}
}

// Whatever is saved, in whatever order: no page breaks its rules, the price is in the shop's currency, and the events
// fold to the same pages.
func TestAnySequence(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld()
		currency := rapid.SampledFrom([]string{"EUR", "USD", "JPY", "???"})
		for range rapid.IntRange(1, 15).Draw(t, "saves") {
			var doc settings.Document
			switch rapid.SampledFrom(settings.Pages()).Draw(t, "page") {
			case settings.PageGeneral:
				doc = &settings.General{
					Name: rapid.SampledFrom([]string{"", "Kiosk", "Bakery"}).Draw(t, "name"), TimeZone: rapid.SampledFrom([]string{"UTC", "Asia/Tokyo", "x"}).Draw(t, "zone"),
					Currency: currency.Draw(t, "currency"), Locale: "en",
				}
			case settings.PageBilling:
				doc = &settings.Billing{BillingHour: rapid.IntRange(-1, 24).Draw(t, "hour"), MaxCatchUpOrders: rapid.IntRange(0, 13).Draw(t, "catch up"),
					MissedOrders: rapid.SampledFrom([]string{"", "skip", "restart", "pause", "x"}).Draw(t, "missed"), OutOfStock: rapid.SampledFrom([]string{"", "skip", "swap", "hold", "x"}).Draw(t, "stock")}
			case settings.PageRecovery:
				doc = &settings.Recovery{
					RetryDays: rapid.SliceOfN(rapid.IntRange(0, 61), 0, 4).Draw(t, "days"),
					EndAction: rapid.SampledFrom([]string{"cancel", "pause", "skip", "keep", ""}).Draw(t, "end"),
					RetryHour: rapid.Ptr(rapid.IntRange(-1, 24), true).Draw(t, "hour"),
				}
				for range rapid.IntRange(0, 2).Draw(t, "phases") {
					doc.(*settings.Recovery).Phases = append(doc.(*settings.Recovery).Phases,
						settings.RecoveryPhase{Attempts: rapid.IntRange(0, 11).Draw(t, "attempts"), IntervalDays: rapid.IntRange(0, 20).Draw(t, "interval"), Silent: rapid.Bool().Draw(t, "silent")})
				}
			case settings.PageShipping:
				doc = &settings.Shipping{
					DefaultDeliveryPrice: money.Of(rapid.Int64Range(-1, 1000).Draw(t, "price"), currency.Draw(t, "currency")),
					Countries:            rapid.SliceOfN(rapid.SampledFrom([]string{"DE", "AT", "FR", "q"}), 0, 4).Draw(t, "countries"),
				}
			case settings.PagePortal:
				doc = &settings.Portal{
					Actions:      rapid.SliceOfN(rapid.SampledFrom([]string{"pause", "skip", "gift", "fly"}), 0, 4).Draw(t, "actions"),
					MaxDaysAhead: rapid.IntRange(0, 731).Draw(t, "ahead"),
				}
			case settings.PageCancelFlow:
				doc = &settings.CancelFlow{Enabled: rapid.Bool().Draw(t, "enabled"), DiscountCooldownDays: rapid.IntRange(-1, 3651).Draw(t, "cooldown")}
			case settings.PageLog:
				doc = &settings.Log{NetworkRetentionMonths: rapid.IntRange(0, 121).Draw(t, "months")}
			}
			decision, events, err := w.Run(journal.Bind(settings.Update{Document: doc}), now)
			if err != nil {
				if fault.As(err).Kind == fault.Internal {
					t.Fatalf("a save failed: %v", err)
				}
				continue
			}
			for i, d := range decision.Drafts {
				if diff := cmp.Diff(d.After, w.States[d.After.Ref()], cmpopts.EquateEmpty()); diff != "" {
					t.Fatalf("event %s says something else than the decision (-decided +applied):\n%s", events[i].Type, diff)
				}
			}
			for _, s := range w.States {
				if err := settings.Check(s.(settings.Document)); err != nil {
					t.Fatal(err)
				}
				if s, ok := s.(*settings.Shipping); ok && s.DefaultDeliveryPrice.Currency != page[*settings.General](w, settings.PageGeneral).Currency {
					t.Fatalf("the delivery price is in %s", s.DefaultDeliveryPrice.Currency)
				}
			}
		}
		rebuilt, err := w.Rebuild()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(w.States, rebuilt, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("replay (-live +replayed):\n%s", diff)
		}
	})
}

func TestSilentDays(t *testing.T) {
	phase := func(attempts, days int, silent bool) settings.RecoveryPhase {
		return settings.RecoveryPhase{Attempts: attempts, IntervalDays: days, Silent: silent}
	}
	for name, tt := range map[string]struct {
		r    settings.Recovery
		want []int
	}{
		"days":             {settings.Recovery{RetryDays: []int{1, 3}}, nil},
		"everything told":  {settings.Recovery{Phases: []settings.RecoveryPhase{phase(2, 1, false), phase(1, 5, false)}}, nil},
		"the first phase":  {settings.Recovery{Phases: []settings.RecoveryPhase{phase(2, 1, true), phase(1, 5, false)}}, []int{0, 1, 2}},
		"the last phase":   {settings.Recovery{Phases: []settings.RecoveryPhase{phase(2, 1, false), phase(2, 5, true)}}, []int{7, 12}},
		"all but a second": {settings.Recovery{Phases: []settings.RecoveryPhase{phase(1, 2, true), phase(1, 2, false), phase(1, 2, true)}}, []int{0, 2, 6}},
	} {
		if diff := cmp.Diff(tt.want, tt.r.SilentDays()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// A document from before there were silent phases tells of every failure, and is written as it was.
func TestPhasesFromBefore(t *testing.T) {
	const before = `{"retry_days":null,"end_action":"pause","phases":[{"attempts":2,"interval_days":1}],"retry_hour":null}`
	var r settings.Recovery
	if err := json.Unmarshal([]byte(before), &r); err != nil {
		t.Fatal(err)
	}
	if got := r.SilentDays(); got != nil {
		t.Errorf("got the silent days %v", got)
	}
	if got, err := json.Marshal(&r); err != nil || string(got) != before {
		t.Errorf("got %s, %v", got, err)
	}
}
