package civil_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"perennial/internal/civil"
)

var (
	daily   = civil.Interval{Unit: civil.Day, Count: 1}
	weekly  = civil.Interval{Unit: civil.Week, Count: 1}
	monthly = civil.Interval{Unit: civil.Month, Count: 1}
	yearly  = civil.Interval{Unit: civil.Year, Count: 1}
)

// TestDocumentedRules holds what the documentation and the tests of other billing systems promise, and our own
// docs/billing-rules.md. Sources:
//   - Stripe: docs.stripe.com/billing/subscriptions/billing-cycle, and docs.stripe.com/payments/checkout/billing-cycle
//   - Kill Bill (BCD: the bill cycle day): killbill.io/blog/bill-cycle-day-overrides, TestBillingIntervalDetail in its
//     repository, and its issue 2133
func TestDocumentedRules(t *testing.T) {
	every := func(n int, unit civil.Unit) civil.Interval { return civil.Interval{Unit: unit, Count: n} }
	for _, c := range []struct {
		source    string
		start     string
		every     civil.Interval
		anchorDay int
		want      string
	}{
		{"Stripe: anchor September 2 bills on the 2nd", "2026-09-02", monthly, 0,
			"2026-09-02 2026-10-02 2026-11-02 2026-12-02 2027-01-02 2027-02-02"},
		{"Stripe: anchor January 31 bills on the last day closest to it", "2027-01-31", monthly, 0,
			"2027-01-31 2027-02-28 2027-03-31 2027-04-30 2027-05-31"},
		{"Stripe: anchor January 31 in a leap year", "2028-01-31", monthly, 0, "2028-01-31 2028-02-29 2028-03-31 2028-04-30"},
		{"Stripe: anchor Friday June 3 bills every Friday", "2022-06-03", weekly, 0, "2022-06-03 2022-06-10 2022-06-17 2022-06-24"},
		{"Stripe: created May 15 with anchor June 1 bills on the 1st", "2027-05-15", monthly, 1, "2027-06-01 2027-07-01 2027-08-01"},

		{"Kill Bill: day 1, created on the 1st", "2016-06-01", monthly, 1, "2016-06-01 2016-07-01"},
		{"Kill Bill: BCD after the start, same month", "2012-01-16", yearly, 17, "2012-01-17 2013-01-17"},
		{"Kill Bill: BCD beyond the end of the month", "2012-02-16", yearly, 30, "2012-02-29 2013-02-28"},
		{"Kill Bill: BCD before the start, next month too short for it", "2012-01-31", monthly, 30, "2012-02-29 2012-03-30"},
		{"Kill Bill: the next BCD is not in the past", "2012-07-16", monthly, 15, "2012-08-15 2012-09-15"},
		{"Kill Bill: day before the BCD", "2012-03-02", monthly, 3, "2012-03-03 2012-04-03"},
		{"Kill Bill: on the BCD", "2012-03-03", monthly, 3, "2012-03-03 2012-04-03"},
		{"Kill Bill: day after the BCD", "2012-03-04", monthly, 3, "2012-04-03 2012-05-03"},
		{"Kill Bill: BCD 31 starting in a month of 30 days", "2012-04-30", monthly, 31, "2012-04-30 2012-05-31 2012-06-30"},
		{"Kill Bill 2133: day 31 returns after every period", "2025-02-28", monthly, 31, "2025-02-28 2025-03-31 2025-04-30 2025-05-31"},
		// Kill Bill waits a year here (2013-02-14): its yearly rhythm keeps the month of the start. Ours begins on the
		// next such day, like every other, so that nobody waits a year for a first order.
		{"not as Kill Bill: BCD before the start of a yearly rhythm", "2012-02-16", yearly, 14, "2012-03-14 2013-03-14"},

		{"ours: every 2 weeks", "2027-03-01", every(2, civil.Week), 0, "2027-03-01 2027-03-15 2027-03-29 2027-04-12"},
		{"ours: every 10 days over a change of clocks", "2027-03-20", every(10, civil.Day), 0, "2027-03-20 2027-03-30 2027-04-09"},
		{"ours: every 3 months from a 30 November", "2026-11-30", every(3, civil.Month), 0, "2026-11-30 2027-02-28 2027-05-30 2027-08-30"},
		{"ours: start 10 February with day 31", "2027-02-10", monthly, 31, "2027-02-28 2027-03-31 2027-04-30"},
		{"ours: yearly from a leap day", "2028-02-29", yearly, 0, "2028-02-29 2029-02-28 2030-02-28 2031-02-28 2032-02-29"},
		{"ours: no leap day in 2100", "2096-02-29", every(2, civil.Year), 0, "2096-02-29 2098-02-28 2100-02-28 2102-02-28 2104-02-29"},
		{"ours: weeks have no anchor day", "2027-03-03", weekly, 15, "2027-03-03"},
	} {
		t.Run(c.source, func(t *testing.T) {
			start, want := date(t, c.start), dates(t, c.want)
			anchor := civil.Align(start, c.every, c.anchorDay)
			if anchor != want[0] {
				t.Fatalf("Align(%s, %v, %d) = %v, want %v", start, c.every, c.anchorDay, anchor, want[0])
			}
			if len(want) == 1 {
				return
			}
			var got []civil.Date
			for _, d := range civil.Dates(civil.Rhythm{Anchor: anchor, AnchorDay: c.anchorDay, Every: c.every}, 0) {
				if got = append(got, d); len(got) == len(want) {
					break
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestInterval(t *testing.T) {
	for _, c := range []struct {
		unit       civil.Unit
		count      int
		valid      bool
		words      string
		approxDays int
	}{
		{civil.Day, 1, true, "every day", 1},
		{civil.Day, 365, true, "every 365 days", 365},
		{civil.Day, 366, false, "every 366 days", 366},
		{civil.Week, 1, true, "every week", 7},
		{civil.Week, 2, true, "every 2 weeks", 14},
		{civil.Week, 52, true, "every 52 weeks", 364},
		{civil.Week, 53, false, "every 53 weeks", 371},
		{civil.Month, 1, true, "every month", 30},
		{civil.Month, 12, true, "every 12 months", 365},
		{civil.Month, 36, true, "every 36 months", 1096},
		{civil.Month, 37, false, "every 37 months", 1126},
		{civil.Year, 1, true, "every year", 365},
		{civil.Year, 3, true, "every 3 years", 1096},
		{civil.Year, 4, false, "every 4 years", 1461},
		{civil.Month, 0, false, "every 0 months", 0},
		{civil.Week, -1, false, "every -1 weeks", -7},
	} {
		i := civil.Interval{Unit: c.unit, Count: c.count}
		if i.Valid() != c.valid || i.String() != c.words || i.ApproxDays() != c.approxDays {
			t.Errorf("%+v: Valid %v, String %q, ApproxDays %d; want %v, %q, %d",
				i, i.Valid(), i, i.ApproxDays(), c.valid, c.words, c.approxDays)
		}
	}
	for _, unit := range []civil.Unit{"", "days", "Month", "quarter"} {
		if unit.Valid() || (civil.Interval{Unit: unit, Count: 1}).Valid() {
			t.Errorf("%q is a unit", unit)
		}
	}
	if got := monthly.Add(date(t, "2027-03-31"), -1); got.String() != "2027-02-28" {
		t.Errorf("a month before 31 March is %v", got)
	}
}

func TestRhythmOutsideItsRange(t *testing.T) {
	d := date(t, "2027-01-31")
	for name, r := range map[string]civil.Rhythm{
		"zero":                  {},
		"no anchor":             {Every: monthly},
		"anchor no day":         {Anchor: civil.Date{Year: 2027, Month: time.February, Day: 31}, Every: monthly},
		"no interval":           {Anchor: d},
		"count 0":               {Anchor: d, Every: civil.Interval{Unit: civil.Month}},
		"anchor day 32":         {Anchor: d, AnchorDay: 32, Every: monthly},
		"anchor day -1":         {Anchor: d, AnchorDay: -1, Every: monthly},
		"anchor day with weeks": {Anchor: d, AnchorDay: 31, Every: weekly},
	} {
		k, from := r.From(d)
		_, after := r.After(d)
		if _, ok := r.Position(d); r.Valid() || ok || !r.At(0).IsZero() || !from.IsZero() || !after.IsZero() || k != 0 {
			t.Errorf("%s: Valid %v, Position %v, At(0) %v, From %v, After %v", name, r.Valid(), ok, r.At(0), from, after)
		}
		for k, got := range civil.Dates(r, 0) {
			t.Errorf("%s: has a date %v at %d", name, got, k)
			break
		}
	}
	r := civil.Rhythm{Anchor: date(t, "9999-11-30"), Every: monthly}
	if got := fmt.Sprint(r.At(1), r.At(2), r.At(1<<40), r.At(-1)); got != "9999-12-30   " {
		t.Errorf("at the end of the calendar: %q", got)
	}
	if k, got := r.After(date(t, "9999-12-30")); k != 2 || !got.IsZero() {
		t.Errorf("After the last date = %d, %v", k, got)
	}
	var n int
	for range civil.Dates(r, -5) {
		n++
	}
	if n != 2 {
		t.Errorf("Dates gives %d dates up to the end of the calendar, want 2", n)
	}
}

// anyInterval and anyRhythm make valid ones, an AnchorDay that agrees with the anchor.
func anyInterval() *rapid.Generator[civil.Interval] {
	return rapid.Custom(func(t *rapid.T) civil.Interval {
		unit := rapid.SampledFrom([]civil.Unit{civil.Day, civil.Week, civil.Month, civil.Year}).Draw(t, "unit")
		return civil.Interval{Unit: unit, Count: rapid.IntRange(1, unit.MaxCount()).Draw(t, "count")}
	})
}

func anyRhythm() *rapid.Generator[civil.Rhythm] {
	return rapid.Custom(func(t *rapid.T) civil.Rhythm {
		r := civil.Rhythm{Every: anyInterval().Draw(t, "every"), Anchor: anyDate("1990-01-01", "2110-12-31").Draw(t, "start")}
		if r.Every.Unit == civil.Month || r.Every.Unit == civil.Year {
			r.AnchorDay = rapid.IntRange(0, 31).Draw(t, "anchor day")
		}
		r.Anchor = civil.Align(r.Anchor, r.Every, r.AnchorDay)
		return r
	})
}

func TestAtBeginsWithTheAnchorAndIncreases(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := anyRhythm().Draw(t, "rhythm")
		if got := r.At(0); got != r.Anchor {
			t.Fatalf("At(0) = %v, want the anchor", got)
		}
		k := rapid.IntRange(0, 2000).Draw(t, "k")
		if a, b := r.At(k), r.At(k+1); !a.Before(b) {
			t.Fatalf("At(%d) = %v and then %v", k, a, b)
		}
	})
}

func TestAnchorDayReturnsAndNeverDrifts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := anyRhythm().Draw(t, "rhythm")
		day := r.AnchorDay
		if day == 0 {
			day = r.Anchor.Day
		}
		for k, d := range civil.Dates(r, 0) {
			if r.Anchor.DaysUntil(d) > 50*366 {
				break
			}
			switch r.Every.Unit {
			case civil.Day:
				if got, want := r.Anchor.DaysUntil(d), k*r.Every.Count; got != want {
					t.Fatalf("position %d is %d days after the anchor, want %d", k, got, want)
				}
			case civil.Week:
				if d.Weekday() != r.Anchor.Weekday() || r.Anchor.DaysUntil(d) != 7*k*r.Every.Count {
					t.Fatalf("position %d is %v, a %v", k, d, d.Weekday())
				}
			default:
				if want := min(day, civil.DaysIn(d.Year, d.Month)); d.Day != want {
					t.Fatalf("position %d is %v, want day %d", k, d, want)
				}
				step := r.Every.Count
				if r.Every.Unit == civil.Year {
					step *= 12
				}
				if got := 12*(d.Year-r.Anchor.Year) + int(d.Month-r.Anchor.Month); got != k*step {
					t.Fatalf("position %d is %d months after the anchor, want %d", k, got, k*step)
				}
			}
		}
	})
}

func TestPositionInvertsAt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := anyRhythm().Draw(t, "rhythm")
		k := rapid.IntRange(0, 2000).Draw(t, "k")
		if got, ok := r.Position(r.At(k)); !ok || got != k {
			t.Fatalf("Position(At(%d) = %v) = %d, %v", k, r.At(k), got, ok)
		}
	})
}

// TestSearchAgreesWithCounting compares the direct searches with one that counts from position 0.
func TestSearchAgreesWithCounting(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := anyRhythm().Draw(t, "rhythm")
		d := r.Anchor.AddDays(rapid.IntRange(-400, 4000).Draw(t, "days"))
		from, after := 0, 0
		for r.At(from).Before(d) {
			from++
		}
		for !r.At(after).After(d) {
			after++
		}
		if k, got := r.From(d); k != from || got != r.At(from) {
			t.Errorf("From(%v) = %d, %v; want %d, %v", d, k, got, from, r.At(from))
		}
		if k, got := r.After(d); k != after || got != r.At(after) {
			t.Errorf("After(%v) = %d, %v; want %d, %v", d, k, got, after, r.At(after))
		}
		if k, ok := r.Position(d); ok != (from != after) || ok && k != from {
			t.Errorf("Position(%v) = %d, %v", d, k, ok)
		}
	})
}

func TestAlignIsTheNextSuchDay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		start, day := anyDate("1990-01-01", "2110-12-31").Draw(t, "start"), rapid.IntRange(1, 31).Draw(t, "day")
		want := start
		for want.Day != min(day, civil.DaysIn(want.Year, want.Month)) {
			want = want.AddDays(1)
		}
		if got := civil.Align(start, monthly, day); got != want {
			t.Errorf("Align(%v, %d) = %v, want %v", start, day, got, want)
		}
		if got := civil.Align(want, yearly, day); got != want {
			t.Errorf("Align moves %v, which has day %d, to %v", want, day, got)
		}
	})
}

func BenchmarkFrom(b *testing.B) {
	r := civil.Rhythm{Anchor: date(b, "2000-01-31"), Every: monthly}
	d := date(b, "2049-06-15")
	for b.Loop() {
		r.From(d)
	}
}
