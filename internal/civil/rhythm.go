package civil

import (
	"fmt"
	"iter"
)

// Unit is the unit of an interval.
type Unit string

// The units.
const (
	Day   Unit = "day"
	Week  Unit = "week"
	Month Unit = "month"
	Year  Unit = "year"
)

// Valid reports whether u is one of the four units.
func (u Unit) Valid() bool {
	return u.MaxCount() > 0
}

// MaxCount gives the largest count of the unit in an interval: about one year of days and weeks, three of months and
// years; 0 for what is not a unit.
func (u Unit) MaxCount() int {
	switch u {
	case Day:
		return 365
	case Week:
		return 52
	case Month:
		return 36
	case Year:
		return 3
	}
	return 0
}

// Interval is a number of days, weeks, months or years.
type Interval struct {
	Unit  Unit `json:"interval"`
	Count int  `json:"interval_count"` // 1 to Unit.MaxCount()
}

// Valid reports whether the unit is known and the count between 1 and the unit's MaxCount.
func (i Interval) Valid() bool {
	return 1 <= i.Count && i.Count <= i.Unit.MaxCount()
}

// String gives the interval in words: "every month", "every 2 weeks".
func (i Interval) String() string {
	if i.Count == 1 {
		return "every " + string(i.Unit)
	}
	return fmt.Sprintf("every %d %ss", i.Count, i.Unit)
}

// Add gives the date k intervals after d, before it for a negative k. Months and years keep d's day where the month has
// it and take the month's last day where not. An interval that is not Valid gives the zero Date.
func (i Interval) Add(d Date, k int) Date {
	return i.add(d, k, d.Day)
}

func (i Interval) add(d Date, k, day int) Date {
	// More steps than there are days cannot stay in range, and would overflow.
	if !i.Valid() || !d.Valid() || k < firstDay-lastDay || k > lastDay-firstDay {
		return Date{}
	}
	if i.byMonth() {
		return inMonth(d, k*i.months(), day)
	}
	return d.AddDays(k * i.days())
}

// ApproxDays gives the interval's mean length in days, rounded, for putting intervals in order; never for dates.
// Intervals that are the same time have the same length: 12 months is 1 year.
func (i Interval) ApproxDays() int {
	if !i.byMonth() {
		return i.days()
	}
	// The calendar repeats after 400 years: 4,800 months, 146,097 days.
	return (i.months()*146097 + 2400) / 4800
}

// byMonth reports whether the interval is counted in months: only then does a rhythm have a day of the month.
func (i Interval) byMonth() bool {
	return i.Unit == Month || i.Unit == Year
}

func (i Interval) months() int {
	if i.Unit == Year {
		return 12 * i.Count
	}
	return i.Count
}

func (i Interval) days() int {
	if i.Unit == Week {
		return 7 * i.Count
	}
	return i.Count
}

// Rhythm is a series of dates: position k (0, 1, …) has the date k intervals after the anchor. Each date is computed from
// the anchor, so the day returns after a month that is too short for it.
//
// Dates strictly increase with k. A rhythm that is not Valid has no dates.
type Rhythm struct {
	Anchor    Date     `json:"anchor_date"`
	AnchorDay int      `json:"anchor_day,omitempty"` // 1 to 31, only with months and years; 0: the anchor's own day
	Every     Interval `json:"every"`
}

// Valid reports whether the anchor, the interval and the anchor day are each in their range.
func (r Rhythm) Valid() bool {
	return r.Anchor.Valid() && r.Every.Valid() &&
		(r.AnchorDay == 0 || r.Every.byMonth() && 1 <= r.AnchorDay && r.AnchorDay <= 31)
}

// At gives the date of position k. At(0) is the anchor when AnchorDay is 0 or agrees with it (Align makes it agree).
// A negative k, and a date after the year 9999, is the zero Date.
func (r Rhythm) At(k int) Date {
	if k < 0 || !r.Valid() {
		return Date{}
	}
	day := r.AnchorDay
	if day == 0 {
		day = r.Anchor.Day
	}
	return r.Every.add(r.Anchor, k, day)
}

// Position gives the k with At(k) == d; ok is false if no position has that date.
func (r Rhythm) Position(d Date) (k int, ok bool) {
	k, date := r.From(d)
	return k, !date.IsZero() && date == d
}

// From gives the first position on or after d. A date before the rhythm begins gives position 0. If there is none
// before the end of the calendar, date is zero.
func (r Rhythm) From(d Date) (k int, date Date) {
	if !r.Valid() {
		return 0, Date{}
	}
	if r.Every.byMonth() {
		k = (d.months() - r.Anchor.months()) / r.Every.months()
	} else {
		k = r.Anchor.DaysUntil(d) / r.Every.days()
	}
	// Position k is not after d's month or day, and position k+1 is.
	k = max(k, 0)
	if date = r.At(k); date.Before(d) {
		k++
		date = r.At(k)
	}
	return k, date
}

// After gives the first position strictly after d, as From does.
func (r Rhythm) After(d Date) (k int, date Date) {
	k, date = r.From(d)
	if !date.IsZero() && date == d {
		k++
		date = r.At(k)
	}
	return k, date
}

// Dates gives the positions from fromK on with their dates, to the end of the calendar.
func Dates(r Rhythm, fromK int) iter.Seq2[int, Date] {
	return func(yield func(int, Date) bool) {
		for k := max(fromK, 0); ; k++ {
			date := r.At(k)
			if date.IsZero() || !yield(k, date) {
				return
			}
		}
	}
}

// Align gives the anchor of a rhythm that is to begin on start: start itself, or with an anchorDay (1 to 31; 0 for
// none) the first such day on or after start. A month that is too short for the day has it on its last day: start
// 2027-02-10 and day 31 give 2027-02-28. Days and weeks have no anchor day: start.
func Align(start Date, every Interval, anchorDay int) Date {
	if anchorDay == 0 || !every.byMonth() || !start.Valid() {
		return start
	}
	if d := inMonth(start, 0, anchorDay); !d.Before(start) {
		return d
	}
	return inMonth(start, 1, anchorDay)
}
