package subscription

import (
	"testing"
	"time"

	"perennial/internal/civil"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/settings"
)

func TestRenewed(t *testing.T) {
	s := started(t, "2027-01-31")
	s.do(journal.Bind(AddItem{ID: "sub_1", Item: NewItem{ID: "item_2", VariantID: "var_2", Quantity: 1, OneTime: true}}))
	s.do(apply("FIVER"))
	s.do(apply("ONCE"))
	s.do(move("2027-02-10"))
	s.day = date("2027-02-10")
	equal(t, "types", s.bill("sub_1"), []string{"subscription.renewed"})
	got := s.sub("sub_1")
	equal(t, "counters", []any{got.Cycle, got.Position, *got.NextBillingDate, *got.LastBillingDate, got.MovedFrom == nil}, []any{1, 1, date("2027-02-28"), date("2027-02-10"), true})
	equal(t, "items", len(got.Items), 1)
	equal(t, "discounts", got.Discounts, []AppliedDiscount{{Code: "FIVER", DiscountID: "disc_FIVER", Kind: "amount", Value: 500, CyclesLeft: new(1), AppliedAt: got.Discounts[0].AppliedAt}})
	last := s.Events[len(s.Events)-1]
	equal(t, "mentions", last.Targets[1:], []journal.Ref{{Kind: journal.Customer, ID: "cus_1"}, {Kind: journal.Order, ID: "ord_1"}})
	equal(t, "date", string(last.Detail("date")), `"2027-02-10"`)
	equal(t, "the day is billed", s.refused(move("2027-02-10")), []string{"not_after_previous"})
}

func TestExpiry(t *testing.T) {
	s := newShop(t)
	two := monthly
	two.MaxCycles = new(2)
	s.do(create(func(c *Create) { c.ID, c.BillingPolicy, c.NextBillingDate = "sub_1", &two, dateP("2027-01-31") }))
	equal(t, "upcoming ends", s.dates("sub_1", 12), []string{"2027-01-31", "2027-02-28"})
	equal(t, "first", s.bill("sub_1"), []string{"subscription.renewed"})
	equal(t, "last", s.bill("sub_1"), []string{"subscription.renewed", "subscription.expired"})
	got := s.sub("sub_1")
	equal(t, "state", []any{got.Status, got.NextBillingDate == nil, got.Cycle}, []any{Expired, true, 2})
	equal(t, "upcoming", s.dates("sub_1", 12), nil)
}

// TestRenewedLate lets a payment come through after something else has happened to the subscription.
func TestRenewedLate(t *testing.T) {
	for _, tt := range []struct {
		name      string
		meanwhile []journal.Command
		want      []string // the dates after the order of 31 January was paid, and after a resume if needed
	}{
		{"paused", []journal.Command{journal.Bind(Pause{ID: "sub_1"})}, []string{"2027-02-28", "2027-03-31"}},
		{"cancelled", []journal.Command{journal.Bind(Cancel{ID: "sub_1"})}, []string{"2027-02-28", "2027-03-31"}},
		{"skipped", []journal.Command{skip(nil)}, []string{"2027-02-28", "2027-03-31"}},
		{"skipped and paused", []journal.Command{skip(nil), journal.Bind(Pause{ID: "sub_1"})}, []string{"2027-02-28", "2027-03-31"}},
		{"moved", []journal.Command{move("2027-02-10")}, []string{"2027-02-28", "2027-03-31"}},
		{"all moved", []journal.Command{moveAll("2027-02-10")}, []string{"2027-03-10", "2027-04-10"}},
		{"another frequency", []journal.Command{every(civil.Week, 1)}, []string{"2027-02-07", "2027-02-14"}},
		{"paused, and taken up again on the day", []journal.Command{journal.Bind(Pause{ID: "sub_1"}), journal.Bind(Resume{ID: "sub_1"})}, []string{"2027-02-28", "2027-03-31"}},
		{"paused, and taken up again later", []journal.Command{journal.Bind(Pause{ID: "sub_1"}), onDay("2027-02-10"), journal.Bind(Resume{ID: "sub_1"})}, []string{"2027-02-28", "2027-03-31"}},
		{"paused, and taken up again much later", []journal.Command{journal.Bind(Pause{ID: "sub_1"}), onDay("2027-03-10"), journal.Bind(Resume{ID: "sub_1"})}, []string{"2027-03-31", "2027-04-30"}},
		{"paused twice", []journal.Command{journal.Bind(Pause{ID: "sub_1"}), onDay("2027-03-10"), journal.Bind(Resume{ID: "sub_1"}), journal.Bind(Pause{ID: "sub_1"})}, []string{"2027-03-31", "2027-04-30"}},
		{"taken up again on a day of its own", []journal.Command{journal.Bind(Pause{ID: "sub_1"}), journal.Bind(Resume{ID: "sub_1", NextBillingDate: dateP("2027-03-05")})}, []string{"2027-03-05", "2027-04-05"}},
		{"cancelled, and taken up again much later", []journal.Command{journal.Bind(Cancel{ID: "sub_1"}), onDay("2027-03-10"), journal.Bind(Reactivate{ID: "sub_1"})}, []string{"2027-03-31", "2027-04-30"}},
		{"another frequency while paused", []journal.Command{journal.Bind(Pause{ID: "sub_1"}), every(civil.Week, 1)}, []string{"2027-02-07", "2027-02-14"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := started(t, "2027-01-31")
			s.day = date("2027-01-31")
			order := nextOrder(s.sub("sub_1"))
			for _, c := range tt.meanwhile {
				if d, ok := c.(onDay); ok {
					s.day = date(string(d))
					continue
				}
				s.do(c)
			}
			s.do(drafts(func() ([]journal.Draft, error) { return Renewed(s.sub("sub_1"), order), nil }))
			switch got := s.sub("sub_1"); got.Status {
			case Paused:
				s.do(journal.Bind(Resume{ID: "sub_1"}))
			case Cancelled:
				s.do(journal.Bind(Reactivate{ID: "sub_1"}))
			}
			equal(t, "cycle", s.sub("sub_1").Cycle, 1)
			equal(t, "dates", s.dates("sub_1", 2), tt.want)
		})
	}
}

// onDay is a day that comes, among commands.
type onDay string

func (onDay) Run(journal.Reader, time.Time) (journal.Decision, error) { return journal.Decision{}, nil }

// A discount that was put on while an order was being paid counts from the next order on.
func TestADiscountOfAPaymentCountsLater(t *testing.T) {
	s := started(t, "2027-01-31")
	s.do(apply("FIVER"))
	order := nextOrder(s.sub("sub_1"))
	left := *s.sub("sub_1").Discounts[0].CyclesLeft
	order.MadeAt = s.sub("sub_1").Discounts[0].AppliedAt
	s.day = date("2027-02-01")
	s.do(apply("ONCE"))
	s.do(drafts(func() ([]journal.Draft, error) { return Renewed(s.sub("sub_1"), order), nil }))
	got := s.sub("sub_1").Discounts
	equal(t, "discounts", len(got), 2)
	for _, d := range got {
		want := map[string]int{"FIVER": left - 1, "ONCE": 1}[d.Code]
		equal(t, d.Code, *d.CyclesLeft, want)
	}
}

func TestExtraOrderRenewsNothing(t *testing.T) {
	s := started(t, "2027-01-31")
	equal(t, "paid at once", Renewed(s.sub("sub_1"), Order{ID: "ord_2", Date: s.day}), nil)
}

func (s *shop) fail(o Order, policy settings.Recovery) {
	s.t.Helper()
	s.do(drafts(func() ([]journal.Draft, error) {
		return entering(s.sub("sub_1"), o, &policy, s.day)
	}))
}

// entering gives the events of an order whose first charge failed on a day.
func entering(s *Subscription, o Order, policy *settings.Recovery, on civil.Date) ([]journal.Draft, error) {
	f := Failure{Code: "card_declined", On: on, Attempts: 1}
	d, err := EnterRecovery(s, o, f, policy)
	out := []journal.Draft{d}
	if err == nil {
		if d, ok := AfterFailure(d.After.(*Subscription), f); ok {
			out = append(out, d)
		}
	}
	return out, err
}

func TestRecovery(t *testing.T) {
	s := started(t, "2027-01-31")
	s.day = date("2027-01-31")
	o := nextOrder(s.sub("sub_1"))
	s.fail(o, settings.Recovery{RetryDays: []int{1, 3, 7}, EndAction: settings.EndCancel})
	equal(t, "recovery", s.sub("sub_1").Recovery, &Recovery{
		OrderID: "ord_1", Attempts: 1, Code: "card_declined", NextRetry: dateP("2027-02-01"), RetryDays: []int{1, 3, 7}, EndAction: "cancel", EnteredOn: date("2027-01-31"),
	})
	retry := func(day, want string) {
		t.Helper()
		s.day = date(day)
		d, ok := AfterFailure(s.sub("sub_1"), Failure{Code: "insufficient_funds", On: s.day, Attempts: s.sub("sub_1").Recovery.Attempts + 1})
		if !ok {
			equal(t, day, "", want)
			return
		}
		s.do(drafts(func() ([]journal.Draft, error) { return []journal.Draft{d}, nil }))
		equal(t, day, s.sub("sub_1").Recovery.NextRetry.String(), want)
	}
	retry("2027-01-31", "2027-02-01")
	retry("2027-02-01", "2027-02-03")
	retry("2027-02-02", "2027-02-03")
	retry("2027-02-04", "2027-02-07")
	retry("2027-02-07", "")
	equal(t, "attempts", s.sub("sub_1").Recovery.Attempts, 5)
	equal(t, "upcoming", s.dates("sub_1", 2), []string{"2027-01-31", "2027-02-28"})
	equal(t, "paid", s.do(drafts(func() ([]journal.Draft, error) { return Renewed(s.sub("sub_1"), o), nil })), []string{"recovery.recovered", "subscription.renewed"})
	got := s.sub("sub_1")
	equal(t, "state", []any{got.Status, got.Recovery == nil, got.Cycle, *got.NextBillingDate}, []any{Active, true, 1, date("2027-02-28")})
	if _, ok := AfterFailure(got, Failure{On: s.day}); ok {
		t.Error("a retry without a recovery")
	}
}

func TestExhausted(t *testing.T) {
	for _, tt := range []struct {
		end   string
		extra bool
		types []string
		next  *civil.Date
	}{
		{settings.EndCancel, false, []string{"recovery.exhausted", "subscription.cancelled"}, nil},
		{settings.EndPause, false, []string{"recovery.exhausted", "subscription.paused"}, nil},
		{settings.EndSkip, false, []string{"recovery.exhausted", "subscription.order_skipped"}, dateP("2027-02-28")},
		{settings.EndSkip, true, []string{"recovery.exhausted"}, dateP("2027-01-31")},
	} {
		t.Run(tt.end, func(t *testing.T) {
			s := started(t, "2027-01-31")
			o := nextOrder(s.sub("sub_1"))
			if tt.extra {
				o.Cycle = nil
			}
			s.fail(o, settings.Recovery{EndAction: tt.end})
			equal(t, "no retry", s.sub("sub_1").Recovery.NextRetry, nil)
			equal(t, "types", s.do(drafts(func() ([]journal.Draft, error) { return Exhausted(s.sub("sub_1"), o, s.now()) })), tt.types)
			equal(t, "next", s.sub("sub_1").NextBillingDate, tt.next)
			if _, err := Exhausted(s.sub("sub_1"), o, s.now()); err == nil {
				t.Error("exhausted without a recovery")
			}
		})
	}
}

func TestEnterRecoveryRefused(t *testing.T) {
	s := started(t, "2027-01-31").in(Paused)
	_, err := EnterRecovery(s.sub("sub_1"), Order{ID: id.ID("ord_1")}, Failure{On: s.day}, &settings.Recovery{})
	if err == nil {
		t.Error("a paused subscription went into recovery")
	}
}

// A case goes by days that are counted from the first failure, however the store wrote them down.
func TestCampaigns(t *testing.T) {
	const spent, tried = true, false
	type step struct {
		day   string
		spent bool
		want  string // the next retry, "card" and until when a new payment method is waited for, or nothing when the case ends
	}
	for _, tt := range []struct {
		name   string
		policy settings.Recovery
		steps  []step
	}{
		{"phases", settings.Recovery{Phases: []settings.RecoveryPhase{{Attempts: 2, IntervalDays: 1}, {Attempts: 2, IntervalDays: 5}}, EndAction: settings.EndPause},
			[]step{{"2027-01-31", tried, "2027-02-01"}, {"2027-02-01", tried, "2027-02-02"}, {"2027-02-02", tried, "2027-02-07"}, {"2027-02-07", tried, "2027-02-12"}, {"2027-02-12", tried, ""}}},
		{"keep trying", settings.Recovery{RetryDays: []int{1, 4}, EndAction: settings.EndKeep},
			[]step{{"2027-01-31", tried, "2027-02-01"}, {"2027-02-01", tried, "2027-02-04"}, {"2027-02-04", tried, "2027-02-07"}, {"2027-03-20", tried, "2027-03-21"}, {"2027-03-21", spent, "card"}}},
		{"nothing left to charge", settings.Recovery{RetryDays: []int{1, 4}, EndAction: settings.EndCancel},
			[]step{{"2027-01-31", spent, "card 2027-02-04"}, {"2027-02-01", tried, "2027-02-04"}, {"2027-02-03", spent, "card 2027-02-04"}, {"2027-02-04", spent, ""}}},
		{"no retries", settings.Recovery{EndAction: settings.EndCancel}, []step{{"2027-01-31", spent, ""}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := started(t, "2027-01-31")
			d, err := EnterRecovery(s.sub("sub_1"), nextOrder(s.sub("sub_1")), Failure{On: date("2027-01-31"), Attempts: 1}, &tt.policy)
			if err != nil {
				t.Fatal(err)
			}
			sub := d.After.(*Subscription)
			for i, step := range tt.steps {
				got := ""
				d, ok := AfterFailure(sub, Failure{Code: "declined", On: date(step.day), Attempts: i + 1, Spent: step.spent})
				if ok {
					sub = d.After.(*Subscription)
					switch r := sub.Recovery; {
					case r.NextRetry != nil:
						got = r.NextRetry.String()
					case r.EndsOn != nil:
						got = "card " + r.EndsOn.String()
					default:
						got = "card"
					}
					if sub.Recovery.NeedsCard != step.spent || (d.Type == "recovery.card_requested") != step.spent {
						t.Errorf("%s: %s, needs a card: %v", step.day, d.Type, sub.Recovery.NeedsCard)
					}
				}
				equal(t, step.day, got, step.want)
			}
		})
	}
}

// Whether the customer hears of a failure is what the case began with says of the phase that it was due in.
func TestSilent(t *testing.T) {
	first := date("2027-01-31")
	quiet := settings.RecoveryPhase{Attempts: 2, IntervalDays: 1, Silent: true}
	loud := settings.RecoveryPhase{Attempts: 1, IntervalDays: 5}
	later := loud
	later.Silent = true
	for _, tt := range []struct {
		name   string
		policy settings.Recovery
		f      []Failure // one after the other
		want   []bool
	}{
		{"days", settings.Recovery{RetryDays: []int{1}}, []Failure{{On: first}, {On: first.AddDays(1)}}, []bool{false, false}},
		{"a silent phase first", settings.Recovery{Phases: []settings.RecoveryPhase{quiet, loud}},
			[]Failure{{On: first}, {On: first.AddDays(1)}, {On: first.AddDays(2)}, {On: first.AddDays(7)}}, []bool{true, true, true, false}},
		{"a silent phase last", settings.Recovery{Phases: []settings.RecoveryPhase{{Attempts: 1, IntervalDays: 1}, later}},
			[]Failure{{On: first}, {On: first.AddDays(1)}, {On: first.AddDays(6)}}, []bool{false, false, true}},
		{"too late, after a downtime", settings.Recovery{Phases: []settings.RecoveryPhase{quiet, loud}}, []Failure{{On: first}, {On: first.AddDays(30)}}, []bool{true, true}},
		{"on and on", settings.Recovery{Phases: []settings.RecoveryPhase{{Attempts: 1, IntervalDays: 1}, later}, EndAction: settings.EndKeep},
			[]Failure{{On: first}, {On: first.AddDays(1)}, {On: first.AddDays(6)}, {On: first.AddDays(11)}, {On: first.AddDays(16)}}, []bool{false, false, true, true, true}},
		{"a new card is needed", settings.Recovery{Phases: []settings.RecoveryPhase{quiet}}, []Failure{{On: first, Spent: true}}, []bool{false}},
		{"one is needed later, and fails too", settings.Recovery{Phases: []settings.RecoveryPhase{quiet, loud}},
			[]Failure{{On: first}, {On: first.AddDays(1), Spent: true}, {On: first.AddDays(1)}, {On: first.AddDays(2)}}, []bool{true, false, false, true}},
		{"somebody asked before its day", settings.Recovery{Phases: []settings.RecoveryPhase{quiet, loud}}, []Failure{{On: first}, {On: first}, {On: first.AddDays(1)}}, []bool{true, false, true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := started(t, first.String())
			sub := s.sub("sub_1")
			now := tt.policy
			for i, f := range tt.f {
				if got := Silent(sub, f, &now); got != tt.want[i] {
					t.Errorf("failure %d, on %s: got %v", i+1, f.On, got)
				}
				if sub.Recovery == nil {
					d, err := EnterRecovery(sub, nextOrder(sub), f, &now)
					if err != nil {
						t.Fatal(err)
					}
					sub = d.After.(*Subscription)
					now = settings.Recovery{} // a case keeps what it began with
				}
				if d, ok := AfterFailure(sub, f); ok {
					sub = d.After.(*Subscription)
				}
			}
		})
	}
}
