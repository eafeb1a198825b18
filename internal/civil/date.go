// Package civil holds calendar dates without a time of day, and the rhythm of billing that is made of them.
//
// A Date is a day of the proleptic Gregorian calendar; it becomes an instant only together with a time zone (Start, At)
// and comes from an instant only together with one (Of, Today). All counting is in calendar days and months, never in
// hours, so that a day that a change of clocks shortens is still one day.
//
// A Rhythm gives the date of every order from an anchor and a position: f(anchor, k), never from the date before, so
// that it cannot drift and a short month does not change the day for ever (31 January, 28 February, 31 March). A
// Schedule is a rhythm with what a subscriber does to it: orders skipped and moved, pauses, new frequencies.
//
// Everything here is a pure function of its arguments, of the tz database for Zone: no clock, no zone of the machine. A result
// outside the range 0001-01-01 to 9999-12-31 is the zero Date, which is no day; nothing wraps around and nothing panics.
//
// The rules are in docs/billing-rules.md; the tests check its examples, those of the documentation of Stripe and of
// Kill Bill, and the properties that all rhythms have.
package civil

import (
	"cmp"
	"errors"
	"fmt"
	"time"
)

// Date is a day of the calendar: Year 1 to 9999, Month 1 to 12, Day 1 to the length of the month. The zero value is
// no day. Dates can be compared with == and be keys of maps. A date that may be missing is a *Date: the zero Date has
// no text form.
type Date struct {
	Year  int
	Month time.Month
	Day   int
}

var (
	// ErrDate is why a text is not a date.
	ErrDate = errors.New("civil: not a date in the form 2006-01-02")
	// ErrZone is why a name is not a time zone.
	ErrZone = errors.New("civil: not the name of a time zone")
)

// firstDay and lastDay bound Date, in days since 1970-01-01.
const (
	firstDay = -719162
	lastDay  = 2932896
)

const secondsPerDay = 24 * 60 * 60

// Parse reads a date in the one form that String writes, "2006-01-02". Its error is ErrDate.
func Parse(s string) (Date, error) {
	if len(s) != len("2006-01-02") || s[4] != '-' || s[7] != '-' {
		return Date{}, ErrDate
	}
	year, ok1 := digits(s[:4])
	month, ok2 := digits(s[5:7])
	day, ok3 := digits(s[8:])
	d := Date{year, time.Month(month), day}
	if !ok1 || !ok2 || !ok3 || !d.Valid() {
		return Date{}, ErrDate
	}
	return d, nil
}

func digits(s string) (n int, ok bool) {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = 10*n + int(s[i]-'0')
	}
	return n, true
}

// Of gives the date that a calendar in the zone shows at the time t.
func Of(t time.Time, loc *time.Location) Date {
	year, month, day := t.In(loc).Date()
	return inRange(Date{year, month, day})
}

// Today gives the date in the zone now.
func Today(now time.Time, loc *time.Location) Date {
	return Of(now, loc)
}

// DaysIn gives the length of a month, 28 to 31, and 0 for a month that does not exist.
func DaysIn(year int, month time.Month) int {
	switch month {
	case time.February:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	case time.April, time.June, time.September, time.November:
		return 30
	case time.January, time.March, time.May, time.July, time.August, time.October, time.December:
		return 31
	}
	return 0
}

func inRange(d Date) Date {
	if !d.Valid() {
		return Date{}
	}
	return d
}

// IsZero reports whether d is the zero Date, which is no day.
func (d Date) IsZero() bool {
	return d == Date{}
}

// Valid reports whether d is a day of the calendar in the range of the package.
func (d Date) Valid() bool {
	return 1 <= d.Year && d.Year <= 9999 && 1 <= d.Day && d.Day <= DaysIn(d.Year, d.Month)
}

// String gives the date as "2006-01-02", and "" for the zero Date.
func (d Date) String() string {
	if d.IsZero() {
		return ""
	}
	return fmt.Sprintf("%04d-%02d-%02d", d.Year, int(d.Month), d.Day)
}

// Long gives the date as a sentence says it: "3 March 2027".
func (d Date) Long() string {
	if d.IsZero() {
		return ""
	}
	return fmt.Sprintf("%d %s %d", d.Day, d.Month, d.Year)
}

// LongWithoutYear gives the date as a sentence says it when the year is clear: "3 March".
func (d Date) LongWithoutYear() string {
	if d.IsZero() {
		return ""
	}
	return fmt.Sprintf("%d %s", d.Day, d.Month)
}

// MarshalText gives String. A Date that is not Valid, the zero Date too, has no text: ErrDate.
func (d Date) MarshalText() ([]byte, error) {
	if !d.Valid() {
		return nil, ErrDate
	}
	return []byte(d.String()), nil
}

// UnmarshalText is Parse.
func (d *Date) UnmarshalText(text []byte) error {
	parsed, err := Parse(string(text))
	if err != nil {
		return err
	}
	*d = parsed
	return nil
}

// Compare gives -1 if d is before other, +1 if it is after it, and 0 if they are the same. The zero Date is before
// every day.
func (d Date) Compare(other Date) int {
	return cmp.Or(cmp.Compare(d.Year, other.Year), cmp.Compare(d.Month, other.Month), cmp.Compare(d.Day, other.Day))
}

// Before reports whether d is earlier than other.
func (d Date) Before(other Date) bool {
	return d.Compare(other) < 0
}

// After reports whether d is later than other.
func (d Date) After(other Date) bool {
	return d.Compare(other) > 0
}

// Weekday gives the day of the week.
func (d Date) Weekday() time.Weekday {
	return d.midnightUTC().Weekday()
}

// AddDays gives the date n days later, earlier for a negative n.
func (d Date) AddDays(n int) Date {
	if !d.Valid() || n < firstDay-lastDay || n > lastDay-firstDay {
		return Date{}
	}
	return fromDays(d.days() + n)
}

// AddMonths gives the same day n months later, earlier for a negative n. A month without that day gives its last one:
// 31 January and one month is 28 February, or 29 in a leap year.
func (d Date) AddMonths(n int) Date {
	if !d.Valid() {
		return Date{}
	}
	return inMonth(d, n, d.Day)
}

// DaysUntil gives the number of days from d to other, negative if other is earlier.
func (d Date) DaysUntil(other Date) int {
	return other.days() - d.days()
}

// Start gives the first instant of the day in the zone. Where the clocks go forward at midnight that is later than
// 00:00; where they go back over midnight it is the first of the two. For a day that the zone left out altogether
// (Pacific/Apia has no 2011-12-30) it is the first instant after it. The zero Date has the zero Time.
func (d Date) Start(loc *time.Location) time.Time {
	return d.At(0, 0, loc)
}

// At gives the first instant at which a clock in the zone shows hour:minute of the day, or, if the clocks go forward
// over it, the first instant after. Hour is 0 to 23 and minute 0 to 59. The zero Date has the zero Time.
func (d Date) At(hour, minute int, loc *time.Location) time.Time {
	if !d.Valid() {
		return time.Time{}
	}
	// time.Date does not say which of two offsets it takes in a gap or an overlap, so the periods of equal offset
	// are looked at one by one, in order. No zone was ever 24 hours from UTC: two days on each side hold every
	// change that can matter.
	wall := d.midnightUTC().Add(time.Duration(hour)*time.Hour + time.Duration(minute)*time.Minute)
	for t := wall.AddDate(0, 0, -2).In(loc); ; {
		_, offset := t.Zone()
		instant := wall.Add(-time.Duration(offset) * time.Second)
		if instant.Before(t) {
			instant = t
		}
		_, end := t.ZoneBounds()
		if !end.IsZero() && !end.After(t) {
			// Past the zone's table of changes ZoneBounds takes every year for 365 days (time.tzset in Go 1.26), so
			// that on 31 December of a leap year the period has ended before it has: it lasts out the day in UTC.
			end = t.Truncate(24 * time.Hour).Add(24 * time.Hour)
		}
		if end.IsZero() || instant.Before(end) {
			return instant.In(loc)
		}
		t = end
	}
}

func (d Date) midnightUTC() time.Time {
	return time.Date(d.Year, d.Month, d.Day, 0, 0, 0, 0, time.UTC)
}

// days gives the days since 1970-01-01, negative before it.
func (d Date) days() int {
	return int(d.midnightUTC().Unix() / secondsPerDay)
}

func fromDays(days int) Date {
	if days < firstDay || days > lastDay {
		return Date{}
	}
	return Of(time.Unix(int64(days)*secondsPerDay, 0), time.UTC)
}

// months numbers the months: 0 is January of year 0.
func (d Date) months() int {
	return 12*d.Year + int(d.Month) - 1
}

// inMonth gives the given day of the month that is n months from d's, or that month's last day if it is shorter.
func inMonth(d Date, n, day int) Date {
	const all = 12 * 10000
	if n < -all || n > all {
		return Date{}
	}
	m := d.months() + n
	if m < 12 {
		return Date{}
	}
	year, month := m/12, time.Month(m%12+1)
	return inRange(Date{year, month, min(day, DaysIn(year, month))})
}
