package subscription

import (
	"testing"

	"perennial/internal/catalog"
	"perennial/internal/civil"
	"perennial/internal/journal"
)

func skip(d *civil.Date) journal.Command { return journal.Bind(Skip{ID: "sub_1", Date: d}) }
func unskip(d string) journal.Command    { return journal.Bind(Unskip{ID: "sub_1", Date: date(d)}) }
func move(d string) journal.Command      { return journal.Bind(Reschedule{ID: "sub_1", Date: date(d)}) }
func moveAll(d string) journal.Command {
	return journal.Bind(Reschedule{ID: "sub_1", Date: date(d), NewRhythm: true})
}
func every(u civil.Unit, n int) journal.Command {
	return journal.Bind(ChangeFrequency{ID: "sub_1", Interval: u, IntervalCount: n})
}

// TestSchedule plays what subscribers do to their dates, on 15 January 2027 with orders on the last of each month.
func TestSchedule(t *testing.T) {
	for _, tt := range []struct {
		name  string
		steps []journal.Command
		want  []string
	}{
		{"untouched", nil, []string{"2027-01-31", "2027-02-28", "2027-03-31", "2027-04-30"}},
		{"skip the next", []journal.Command{skip(nil)}, []string{"(2027-01-31)", "2027-02-28", "2027-03-31", "2027-04-30"}},
		{"skip two", []journal.Command{skip(nil), skip(nil)}, []string{"(2027-01-31)", "(2027-02-28)", "2027-03-31", "2027-04-30"}},
		{"skip a later one", []journal.Command{skip(dateP("2027-03-31"))}, []string{"2027-01-31", "2027-02-28", "(2027-03-31)", "2027-04-30"}},
		{"skip up to one skipped before", []journal.Command{skip(dateP("2027-02-28")), skip(nil)}, []string{"(2027-01-31)", "(2027-02-28)", "2027-03-31", "2027-04-30"}},
		{"put back the next", []journal.Command{skip(nil), skip(nil), unskip("2027-01-31")}, []string{"2027-01-31", "(2027-02-28)", "2027-03-31", "2027-04-30"}},
		{"put back a later one", []journal.Command{skip(dateP("2027-03-31")), unskip("2027-03-31")}, []string{"2027-01-31", "2027-02-28", "2027-03-31", "2027-04-30"}},
		{"move one", []journal.Command{move("2027-02-10")}, []string{"2027-02-10", "2027-02-28", "2027-03-31", "2027-04-30"}},
		{"move one to today", []journal.Command{move("2027-01-15")}, []string{"2027-01-15", "2027-02-28", "2027-03-31", "2027-04-30"}},
		{"move it back", []journal.Command{move("2027-02-10"), move("2027-01-31")}, []string{"2027-01-31", "2027-02-28", "2027-03-31", "2027-04-30"}},
		{"skip the moved one", []journal.Command{move("2027-02-10"), skip(nil)}, []string{"(2027-02-10)", "2027-02-28", "2027-03-31", "2027-04-30"}},
		{"move all", []journal.Command{skip(dateP("2027-03-31")), moveAll("2027-02-10")}, []string{"2027-02-10", "2027-03-10", "2027-04-10", "2027-05-10"}},
		{"every two weeks", []journal.Command{every(civil.Week, 2)}, []string{"2027-01-31", "2027-02-14", "2027-02-28", "2027-03-14"}},
		{"every quarter", []journal.Command{every(civil.Month, 3)}, []string{"2027-01-31", "2027-04-30", "2027-07-31", "2027-10-31"}},
		{"a moved order stays where a new rhythm begins", []journal.Command{move("2027-02-10"), every(civil.Month, 2)}, []string{"2027-02-10", "2027-04-10", "2027-06-10", "2027-08-10"}},
		{"a frequency changed while paused counts from the resume", []journal.Command{journal.Bind(Pause{ID: "sub_1"}), every(civil.Week, 1), journal.Bind(Resume{ID: "sub_1"})},
			[]string{"2027-01-22", "2027-01-29", "2027-02-05", "2027-02-12"}},
		{"a moved order stays moved over a pause", []journal.Command{move("2027-02-10"), journal.Bind(Pause{ID: "sub_1"}), journal.Bind(Resume{ID: "sub_1"})},
			[]string{"2027-02-10", "2027-02-28", "2027-03-31", "2027-04-30"}},
		{"and over a cancellation", []journal.Command{move("2027-02-10"), journal.Bind(Cancel{ID: "sub_1"}), journal.Bind(Reactivate{ID: "sub_1"})},
			[]string{"2027-02-10", "2027-02-28", "2027-03-31", "2027-04-30"}},
		{"but not over a new frequency", []journal.Command{move("2027-02-10"), journal.Bind(Pause{ID: "sub_1"}), every(civil.Week, 1), journal.Bind(Resume{ID: "sub_1"})},
			[]string{"2027-01-22", "2027-01-29", "2027-02-05", "2027-02-12"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := started(t, "2027-01-31")
			for _, c := range tt.steps {
				s.do(c)
			}
			equal(t, "dates", s.dates("sub_1", 4), tt.want)
		})
	}
}

func TestScheduleRefused(t *testing.T) {
	for _, tt := range []struct {
		name  string
		steps []journal.Command
		last  journal.Command
		want  string
	}{
		{"skip what is no date of the rhythm", nil, skip(dateP("2027-02-27")), "not_scheduled"},
		{"skip the past", nil, skip(dateP("2026-12-31")), "not_scheduled"},
		{"skip twice", []journal.Command{skip(dateP("2027-03-31"))}, skip(dateP("2027-03-31")), "already_skipped"},
		{"put back what was not skipped", nil, unskip("2027-01-31"), "not_skipped"},
		{"put back before one that was moved", []journal.Command{skip(nil), move("2027-02-20")}, unskip("2027-01-31"), "next_moved"},
		{"put back nothing", nil, journal.Bind(Unskip{ID: "sub_1"}), "/date"},
		{"move into the past", nil, move("2027-01-14"), "/next_billing_date"},
		{"move nowhere", nil, journal.Bind(Reschedule{ID: "sub_1"}), "/next_billing_date"},
		{"move onto the following order", nil, move("2027-02-28"), "not_before_following"},
		{"move before a skipped order", []journal.Command{skip(nil)}, move("2027-01-31"), "not_after_previous"},
		{"move all into the past", nil, moveAll("2027-01-14"), "/next_billing_date"},
		{"move all too far", nil, moveAll("2040-01-01"), "/next_billing_date"},
		{"no interval", nil, every("moon", 1), "/interval"},
		{"too often", nil, every(civil.Day, 0), "/interval_count"},
		{"too rarely", nil, every(civil.Year, 4), "/interval_count"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := started(t, "2027-01-31")
			for _, c := range tt.steps {
				s.do(c)
			}
			equal(t, "refused", s.refused(tt.last), []string{tt.want})
		})
	}
}

func TestUnskipPassed(t *testing.T) {
	s := started(t, "2027-01-31")
	s.do(skip(nil))
	s.day = date("2027-02-01")
	equal(t, "refused", s.refused(unskip("2027-01-31")), []string{"date_passed"})
}

func TestTooManySkipped(t *testing.T) {
	s := started(t, "2027-01-31")
	s.do(every(civil.Day, 1))
	for range civil.MaxSkipped {
		s.do(skip(nil))
	}
	equal(t, "refused", s.refused(skip(nil)), []string{"too_many_skipped"})
}

func TestMovedFrom(t *testing.T) {
	s := started(t, "2027-01-31")
	equal(t, "types", s.do(move("2027-02-10")), []string{"subscription.next_billing_date_changed"})
	equal(t, "moved from", s.sub("sub_1").MovedFrom, dateP("2027-01-31"))
	equal(t, "the same again is nothing", s.do(move("2027-02-10")), nil)
	s.do(move("2027-01-31"))
	equal(t, "moved from", s.sub("sub_1").MovedFrom, nil)
}

func TestFrequencyKeepsWhatFits(t *testing.T) {
	s := started(t, "2027-01-31")
	prepaid := journal.Clone(s.sub("sub_1"))
	prepaid.BillingPolicy.IntervalCount, prepaid.DeliveryPolicy = 3, &catalog.Policy{Interval: civil.Month, IntervalCount: 1}
	s.States[prepaid.Ref()] = prepaid
	s.do(every(civil.Month, 6))
	equal(t, "delivery still fits", s.sub("sub_1").DeliveryPolicy != nil, true)
	equal(t, "the same is nothing", s.do(every(civil.Month, 6)), nil)
	s.do(every(civil.Week, 6))
	equal(t, "delivery does not fit", s.sub("sub_1").DeliveryPolicy, nil)
}

func TestOrderedNow(t *testing.T) {
	s := started(t, "2027-01-31")
	before := s.sub("sub_1")
	d, err := OrderedNow(before, "ord_7")
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "types", s.do(drafts(func() ([]journal.Draft, error) { return []journal.Draft{d}, nil })), []string{"subscription.order_requested_now"})
	want := journal.Clone(before)
	want.ExtraOrders = 1
	equal(t, "state", s.sub("sub_1"), want)
}
