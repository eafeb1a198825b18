package civil_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"perennial/internal/civil"
)

// show writes upcoming dates as one line: "2 2027-03-31, (3 2027-04-30)", skipped ones in brackets.
func show(s civil.Schedule, today civil.Date, count int) string {
	var b []string
	for slot := range s.Upcoming(today, count) {
		text := fmt.Sprint(slot.K, " ", slot.Date)
		if slot.Skipped {
			text = "(" + text + ")"
		}
		b = append(b, text)
	}
	return strings.Join(b, ", ")
}

// TestStories reads as what a subscriber does to a schedule that begins on 2027-01-31, every month; today is "today".
// A line is a step and what it must give: the upcoming dates, or the refusal.
func TestStories(t *testing.T) {
	const begin = "today 2027-01-15"
	for name, story := range map[string][][2]string{
		"a short month does not change the day": {
			{begin, "0 2027-01-31, 1 2027-02-28, 2 2027-03-31, 3 2027-04-30"},
			{"bill", "1 2027-02-28, 2 2027-03-31, 3 2027-04-30, 4 2027-05-31"},
			{"bill", "2 2027-03-31, 3 2027-04-30, 4 2027-05-31, 5 2027-06-30"},
		},
		"a skipped date uses its position up": {
			{"skip 2027-01-31", "(0 2027-01-31), 1 2027-02-28, 2 2027-03-31, 3 2027-04-30"},
			{"skip 2027-03-31", "(0 2027-01-31), 1 2027-02-28, (2 2027-03-31), 3 2027-04-30"},
			{"skip 2027-02-28", "(0 2027-01-31), (1 2027-02-28), (2 2027-03-31), 3 2027-04-30"},
			{"unskip 2027-02-28", "(0 2027-01-31), 1 2027-02-28, (2 2027-03-31), 3 2027-04-30"},
			{"today 2027-02-01", "1 2027-02-28, (2 2027-03-31), 3 2027-04-30, 4 2027-05-31"},
			{"unskip 2027-01-31", "ErrPast"},
			{"bill", "(2 2027-03-31), 3 2027-04-30, 4 2027-05-31, 5 2027-06-30"},
			{"skip 2027-03-31", "ErrAlreadySkipped"},
			{"unskip 2027-03-31", "2 2027-03-31, 3 2027-04-30, 4 2027-05-31, 5 2027-06-30"},
			{"unskip 2027-03-31", "ErrNotSkipped"},
			{"skip 2027-04-29", "ErrNotOnSchedule"},
			{"skip 2027-02-28", "ErrNotOnSchedule"},
		},
		"a moved order keeps its position and the rhythm stays": {
			{begin, "0 2027-01-31, 1 2027-02-28, 2 2027-03-31, 3 2027-04-30"},
			{"move 2027-02-10", "0 2027-02-10, 1 2027-02-28, 2 2027-03-31, 3 2027-04-30"},
			{"move 2027-01-20", "0 2027-01-20, 1 2027-02-28, 2 2027-03-31, 3 2027-04-30"},
			{"skip 2027-01-31", "ErrNotOnSchedule"},
			{"bill", "1 2027-02-28, 2 2027-03-31, 3 2027-04-30, 4 2027-05-31"},
		},
		"a moved order stays between its neighbours": {
			{begin, "0 2027-01-31, 1 2027-02-28, 2 2027-03-31, 3 2027-04-30"},
			{"move 2027-02-28", "ErrNotBeforeFollowing"},
			{"move 2027-01-14", "ErrPast"},
			{"move 2027-01-15", "0 2027-01-15, 1 2027-02-28, 2 2027-03-31, 3 2027-04-30"},
			{"bill", "1 2027-02-28, 2 2027-03-31, 3 2027-04-30, 4 2027-05-31"},
			{"move 2027-01-15", "ErrNotAfterPrevious"},
			{"skip 2027-02-28", "(1 2027-02-28), 2 2027-03-31, 3 2027-04-30, 4 2027-05-31"},
			{"move 2027-02-28", "ErrNotAfterPrevious"},
			{"skip 2027-04-30", "(1 2027-02-28), 2 2027-03-31, (3 2027-04-30), 4 2027-05-31"},
			{"move 2027-05-01", "ErrNotBeforeFollowing"},
		},
		"a moved order that is skipped comes back where it was": {
			{"move 2027-02-10", "0 2027-02-10, 1 2027-02-28, 2 2027-03-31, 3 2027-04-30"},
			{"skip 2027-02-10", "(0 2027-02-10), 1 2027-02-28, 2 2027-03-31, 3 2027-04-30"},
			{"move 2027-03-05", "(0 2027-02-10), 1 2027-03-05, 2 2027-03-31, 3 2027-04-30"},
			{"unskip 2027-02-10", "ErrNextMoved"},
			{"skip 2027-03-05", "(0 2027-02-10), (1 2027-03-05), 2 2027-03-31, 3 2027-04-30"},
			{"unskip 2027-02-10", "0 2027-02-10, (1 2027-02-28), 2 2027-03-31, 3 2027-04-30"},
		},
		"a new rhythm from a date": {
			{"skip 2027-03-31", "0 2027-01-31, 1 2027-02-28, (2 2027-03-31), 3 2027-04-30"},
			{"restart 2027-02-10", "0 2027-02-10, 1 2027-03-10, 2 2027-04-10, 3 2027-05-10"},
			{"restart 2027-01-14", "ErrPast"},
			{"today 2027-02-10", "0 2027-02-10, 1 2027-03-10, 2 2027-04-10, 3 2027-05-10"},
			{"bill", "1 2027-03-10, 2 2027-04-10, 3 2027-05-10, 4 2027-06-10"},
			{"restart 2027-02-10", "ErrNotAfterPrevious"},
		},
		"a new frequency counts from the next date": {
			{"bill", "1 2027-02-28, 2 2027-03-31, 3 2027-04-30, 4 2027-05-31"},
			{"move 2027-03-02", "1 2027-03-02, 2 2027-03-31, 3 2027-04-30, 4 2027-05-31"},
			{"every month 1", "1 2027-03-02, 2 2027-03-31, 3 2027-04-30, 4 2027-05-31"},
			{"every week 2", "0 2027-03-02, 1 2027-03-16, 2 2027-03-30, 3 2027-04-13"},
			{"every week 53", "ErrInterval"},
		},
		"a pause and a resume before the next date change nothing": {
			{"move 2027-02-10", "0 2027-02-10, 1 2027-02-28, 2 2027-03-31, 3 2027-04-30"},
			{"resume 2027-02-10", "0 2027-02-10, 1 2027-02-28, 2 2027-03-31, 3 2027-04-30"},
		},
		"a resume continues on the rhythm": {
			{"resume 2027-03-01", "2 2027-03-31, 3 2027-04-30, 4 2027-05-31, 5 2027-06-30"},
			{"resume 2027-04-30", "3 2027-04-30, 4 2027-05-31, 5 2027-06-30, 6 2027-07-31"},
		},
		"a resume keeps what is skipped": {
			{"skip 2027-02-28", "0 2027-01-31, (1 2027-02-28), 2 2027-03-31, 3 2027-04-30"},
			{"skip 2027-04-30", "0 2027-01-31, (1 2027-02-28), 2 2027-03-31, (3 2027-04-30)"},
			{"resume 2027-04-10", "(3 2027-04-30), 4 2027-05-31, 5 2027-06-30, 6 2027-07-31"},
			{"unskip 2027-04-30", "3 2027-04-30, 4 2027-05-31, 5 2027-06-30, 6 2027-07-31"},
		},
		"a resume does not repeat an order that was billed early": {
			{"bill", "1 2027-02-28, 2 2027-03-31, 3 2027-04-30, 4 2027-05-31"},
			{"move 2027-02-05", "1 2027-02-05, 2 2027-03-31, 3 2027-04-30, 4 2027-05-31"},
			{"bill", "2 2027-03-31, 3 2027-04-30, 4 2027-05-31, 5 2027-06-30"},
			{"pause", ""},
			{"move 2027-03-05", "ErrNotOnSchedule"},
			{"skip 2027-03-31", "ErrNotOnSchedule"},
			{"resume 2027-02-10", "2 2027-03-31, 3 2027-04-30, 4 2027-05-31, 5 2027-06-30"},
		},
		"a resume with a date is a new rhythm": {
			{"pause", ""},
			{"restart 2027-04-12", "0 2027-04-12, 1 2027-05-12, 2 2027-06-12, 3 2027-07-12"},
		},
		"a frequency changed while paused counts from the resume": {
			{"pause", ""},
			{"every week 2", ""},
			{"unskip 2027-02-28", "ErrNotSkipped"},
			{"resume 2027-04-10", "1 2027-04-24, 2 2027-05-08, 3 2027-05-22, 4 2027-06-05"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := civil.Begin(date(t, "2027-01-31"), monthly, 0)
			today := date(t, "2027-01-15")
			for _, line := range story {
				was, err := s, error(nil)
				verb, argument, _ := strings.Cut(line[0], " ")
				switch verb {
				case "today":
					today = date(t, argument)
				case "bill":
					s = s.Advance()
				case "skip":
					s, err = s.Skip(date(t, argument))
				case "unskip":
					s, err = s.Unskip(date(t, argument), today)
				case "move":
					s, err = s.Move(date(t, argument), today)
				case "restart":
					s, err = s.Restart(date(t, argument), today)
				case "every":
					var every civil.Interval
					if _, err := fmt.Sscan(argument, &every.Unit, &every.Count); err != nil {
						t.Fatal(err)
					}
					s, err = s.Rebase(every)
				case "pause":
					s.NextDate = civil.Date{}
				case "resume":
					s = s.ResumeFrom(date(t, argument))
				default:
					t.Fatalf("no such step: %s", verb)
				}
				got := show(s, today, 4)
				if err != nil {
					got = nameOf(err)
					if diff := cmp.Diff(was, s); diff != "" {
						t.Errorf("%s: refused, and changed\n%s", line[0], diff)
					}
				}
				if got != line[1] {
					t.Errorf("%s:\n got %s\nwant %s", line[0], got, line[1])
				}
			}
		})
	}
}

func nameOf(err error) string {
	for name, sentinel := range map[string]error{
		"ErrNotOnSchedule": civil.ErrNotOnSchedule, "ErrAlreadySkipped": civil.ErrAlreadySkipped,
		"ErrNotSkipped": civil.ErrNotSkipped, "ErrPast": civil.ErrPast, "ErrNextMoved": civil.ErrNextMoved,
		"ErrNotAfterPrevious": civil.ErrNotAfterPrevious, "ErrNotBeforeFollowing": civil.ErrNotBeforeFollowing,
		"ErrInterval": civil.ErrInterval,
	} {
		if errors.Is(err, sentinel) {
			return name
		}
	}
	return err.Error()
}

func TestAnchorDayOfANewRhythm(t *testing.T) {
	today := date(t, "2027-02-10")
	begin := civil.Begin(today, monthly, 31)
	if got, want := show(begin, today, 3), "0 2027-02-28, 1 2027-03-31, 2 2027-04-30"; got != want {
		t.Errorf("Begin:\n got %s\nwant %s", got, want)
	}
	resumed := func(s civil.Schedule, day string) civil.Schedule {
		s.NextDate = civil.Date{}
		s, err := s.Rebase(civil.Interval{Unit: civil.Month, Count: 2})
		if err != nil {
			t.Fatal(err)
		}
		return s.ResumeFrom(date(t, day))
	}
	restarted := func(day string) civil.Schedule {
		s, err := begin.Restart(date(t, day), today)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	rebased := func(every civil.Interval) civil.Schedule {
		s, err := begin.Rebase(every)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	for _, c := range []struct {
		name      string
		got       civil.Schedule
		anchorDay int
		want      string
	}{
		{"restarted on a day that agrees", restarted("2027-04-30"), 31, "0 2027-04-30, 1 2027-05-31"},
		{"restarted on another day", restarted("2027-04-12"), 0, "0 2027-04-12, 1 2027-05-12"},
		{"every year", rebased(yearly), 31, "0 2027-02-28, 1 2028-02-29"},
		{"every week", rebased(weekly), 0, "0 2027-02-28, 1 2027-03-07"},
		{"every 2 months from a resume", resumed(begin, "2027-04-10"), 31, "1 2027-06-30, 2 2027-08-31"},
	} {
		if got := show(c.got, today, 2); got != c.want || c.got.Rhythm.AnchorDay != c.anchorDay {
			t.Errorf("%s: %s with day %d; want %s with day %d", c.name, got, c.got.Rhythm.AnchorDay, c.want, c.anchorDay)
		}
	}
}

func TestSkippedIsBounded(t *testing.T) {
	s := civil.Begin(date(t, "2027-01-01"), daily, 0)
	var err error
	for range civil.MaxSkipped {
		if s, err = s.Skip(s.Next()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err = s.Skip(s.Next()); !errors.Is(err, civil.ErrTooManySkipped) {
		t.Errorf("Skip after %d = %v, want ErrTooManySkipped", civil.MaxSkipped, err)
	}
	if got := s.Advance().Skipped; got != nil {
		t.Errorf("after the next order, %d are still skipped", len(got))
	}
}

func TestScheduleAtTheEndOfTheCalendar(t *testing.T) {
	last := date(t, "9999-12-31")
	s := civil.Begin(last, monthly, 0).Advance()
	if !s.Next().IsZero() || s.Last != last || show(s, last, 3) != "" || s.Moved() {
		t.Errorf("after the last day: %+v", s)
	}
	if got := s.Advance(); !cmp.Equal(got, s) {
		t.Errorf("an order after the last: %+v", got)
	}
	if _, err := s.Skip(last); !errors.Is(err, civil.ErrNotOnSchedule) {
		t.Errorf("Skip = %v", err)
	}
}

func TestScheduleJSON(t *testing.T) {
	s := civil.Begin(date(t, "2027-01-15"), monthly, 31)
	s, err := s.Skip(date(t, "2027-03-31"))
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"rhythm":{"anchor_date":"2027-01-31","anchor_day":31,"every":{"interval":"month","interval_count":1}},` +
		`"position":0,"next_billing_date":"2027-01-31","skipped_dates":["2027-03-31"]}`
	got, err := json.Marshal(s)
	if err != nil || string(got) != want {
		t.Errorf("Marshal = %s, %v\nwant %s", got, err, want)
	}
	var back civil.Schedule
	if err := json.Unmarshal(got, &back); err != nil || !cmp.Equal(back, s) {
		t.Errorf("Unmarshal = %v, %s", err, cmp.Diff(s, back))
	}
}

// TestScheduleWalk does random things to a schedule and checks after each that it holds together.
func TestScheduleWalk(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := anyRhythm().Draw(t, "rhythm")
		s := civil.Begin(r.Anchor, r.Every, r.AnchorDay)
		today := r.Anchor.AddDays(-30)
		pick := func() civil.Date {
			slots := slices.Collect(s.Upcoming(civil.Date{}, 6))
			if len(slots) == 0 {
				return today
			}
			return rapid.SampledFrom(slots).Draw(t, "slot").Date
		}
		near := func() civil.Date {
			return today.AddDays(rapid.IntRange(-5, 2*r.Every.ApproxDays()).Draw(t, "days"))
		}
		walk := map[string]func(*rapid.T){
			"skip": func(t *rapid.T) {
				d := pick()
				skipped, err := s.Skip(d)
				if err != nil {
					return
				}
				back, err := skipped.Unskip(d, d)
				if err != nil || !cmp.Equal(back, s) {
					t.Fatalf("skip and unskip of %v: %v\n%s", d, err, cmp.Diff(s, back))
				}
				s = skipped
			},
			"unskip": func(*rapid.T) { s, _ = s.Unskip(pick(), today) },
			"move": func(t *rapid.T) {
				k := s.NextK
				if s, _ = s.Move(near(), today); s.NextK != k {
					t.Fatalf("a moved order changed its position from %d to %d", k, s.NextK)
				}
			},
			"restart": func(*rapid.T) { s, _ = s.Restart(near(), today) },
			"rebase":  func(t *rapid.T) { s, _ = s.Rebase(anyInterval().Draw(t, "every")) },
			"resume": func(t *rapid.T) {
				day := today.AddDays(rapid.IntRange(0, 3*r.Every.ApproxDays()).Draw(t, "pause"))
				if rapid.Bool().Draw(t, "forget the next date") {
					s.NextDate = civil.Date{}
				}
				today = day
				if s = s.ResumeFrom(day); s.Next().Before(day) {
					t.Fatalf("resumed on %v with the next order on %v", day, s.Next())
				}
			},
			"bill": func(t *rapid.T) {
				was := s
				if s.Next().After(today) {
					today = s.Next()
				}
				if s = s.Advance(); s.Last != was.Next() || s.NextK <= was.NextK {
					t.Fatalf("billed %+v\n then %+v", was, s)
				}
			},
			"": func(t *rapid.T) { check(t, s) },
		}
		t.Repeat(walk)
	})
}

// check holds the invariants of Schedule against it, and Upcoming against the rhythm.
func check(t *rapid.T, s civil.Schedule) {
	t.Helper()
	if !s.Rhythm.Valid() || s.Rhythm.At(0) != s.Rhythm.Anchor {
		t.Fatalf("the rhythm is %+v", s.Rhythm)
	}
	previous := civil.Slot{K: -1, Date: s.Last}
	sawNext, skipped := false, 0
	for slot := range s.Upcoming(civil.Date{}, civil.MaxSkipped+10) {
		if !slot.Date.After(previous.Date) {
			t.Fatalf("%+v comes after %+v", slot, previous)
		}
		if previous.K >= 0 && slot.K != previous.K+1 {
			t.Fatalf("position %d comes after %d", slot.K, previous.K)
		}
		if !slot.Skipped && !sawNext {
			sawNext = true
			if slot.Date != s.Next() || slot.K != s.NextK {
				t.Fatalf("the first order is %+v, next is %d on %v", slot, s.NextK, s.Next())
			}
		} else if slot.K > s.NextK && slot.Date != s.Rhythm.At(slot.K) {
			t.Fatalf("%+v is not on the rhythm", slot)
		}
		if slot.Skipped {
			skipped++
		}
		previous = slot
	}
	if !sawNext || skipped > len(s.Skipped) {
		t.Fatalf("next seen: %v; skipped %d of %d", sawNext, skipped, len(s.Skipped))
	}
	if got := slices.Collect(s.Upcoming(civil.Date{}, 3)); len(got) != 3 {
		t.Fatalf("3 upcoming are %d", len(got))
	}
}
