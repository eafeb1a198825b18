package civil

import (
	"errors"
	"iter"
	"slices"
)

// Why a change of a schedule is refused.
var (
	ErrNotOnSchedule      = errors.New("civil: no order of the schedule has this date")
	ErrAlreadySkipped     = errors.New("civil: the order is already skipped")
	ErrNotSkipped         = errors.New("civil: no skipped order has this date")
	ErrTooManySkipped     = errors.New("civil: too many orders are skipped")
	ErrPast               = errors.New("civil: the date is in the past")
	ErrNotAfterPrevious   = errors.New("civil: the date is not after the previous order's")
	ErrNotBeforeFollowing = errors.New("civil: the date is not before the following order's")
	ErrNextMoved          = errors.New("civil: the next order was moved; move it back to the rhythm first")
	ErrInterval           = errors.New("civil: not an interval")
)

// MaxSkipped is the largest number of orders that can be skipped at once.
const MaxSkipped = 100

// Unanchored is the NextK of a schedule that counts from its resume; see RebaseOnResume.
const Unanchored = -1

// Schedule says when the orders of a subscription are due: a rhythm, how far it has been used, and what the subscriber
// has done to it. The zero value has no orders. A method that changes a schedule returns the new one and leaves the
// receiver, its slices too, as it was; with an error it returns the receiver.
//
// Every order has its position k in the rhythm. A skipped order uses its k up, a moved one keeps it, and an order
// outside the rhythm has none and does not come here. At any time one order is next: the first that is not skipped.
// Only the next order can be moved; its rhythm date is then At(NextK), and NextDate another.
//
// Invariants, as long as the fields are only changed by the methods:
//   - Last < the skipped dates before NextDate < NextDate < Rhythm.At(NextK+1), so orders strictly increase;
//   - skipped dates before NextDate are those of the positions just before NextK, without a gap, and a skipped date
//     after it is a date of the rhythm: each one's k is known without being stored.
type Schedule struct {
	Rhythm Rhythm `json:"rhythm"`
	// NextK is the position of the next order, or Unanchored.
	NextK int `json:"position"`
	// NextDate is the date of the next order. It is zero when none is due: the schedule is paused, or at the end of
	// the calendar. A pause does not need it to be zero, but forgets a moved date if it is.
	NextDate Date `json:"next_billing_date,omitzero"`
	// Last is the date of the last order that was billed; zero before the first.
	Last Date `json:"last_billing_date,omitzero"`
	// Skipped holds the dates of skipped orders, in order: what date each had when it was skipped. Those after Last
	// and before NextDate stay until the next order is billed, so that Unskip can bring them back.
	Skipped []Date `json:"skipped_dates,omitempty"`
}

// Slot is one date of a schedule.
type Slot struct {
	K       int
	Date    Date
	Skipped bool
}

// Begin gives the schedule of a new subscription: its first order is at Align(start, every, anchorDay).
func Begin(start Date, every Interval, anchorDay int) Schedule {
	anchor := Align(start, every, anchorDay)
	return Schedule{Rhythm: Rhythm{Anchor: anchor, AnchorDay: anchorDay, Every: every}, NextDate: anchor}
}

// Next gives the date of the next order, zero if none is due.
func (s Schedule) Next() Date {
	return s.NextDate
}

// Moved reports whether the next order is at another date than its rhythm's.
func (s Schedule) Moved() bool {
	return !s.NextDate.IsZero() && s.NextDate != s.Rhythm.At(s.NextK)
}

// Upcoming gives the next count dates in order, skipped ones too. Skipped dates before today have passed and are left
// out; the next order is not, however long it is overdue. A schedule without a next order has nothing upcoming.
func (s Schedule) Upcoming(today Date, count int) iter.Seq[Slot] {
	return func(yield func(Slot) bool) {
		if s.NextDate.IsZero() {
			return
		}
		left := count
		give := func(slot Slot) bool {
			left--
			return left >= 0 && yield(slot)
		}
		passed := s.skippedBeforeNext()
		for i, date := range s.Skipped[:passed] {
			if date.Before(today) {
				continue
			}
			if !give(Slot{K: s.NextK - passed + i, Date: date, Skipped: true}) {
				return
			}
		}
		if !give(Slot{K: s.NextK, Date: s.NextDate}) {
			return
		}
		for k, date := range Dates(s.Rhythm, s.NextK+1) {
			if !give(Slot{K: k, Date: date, Skipped: s.isSkipped(date)}) {
				return
			}
		}
	}
}

// Advance gives the schedule after the next order was billed: the one after it is next, on its rhythm date.
func (s Schedule) Advance() Schedule {
	if s.NextDate.IsZero() {
		return s
	}
	s.Last = s.NextDate
	s.Skipped = tidy(s.Skipped[s.skippedBeforeNext():])
	return s.next(s.NextK + 1)
}

// Skip skips the order at date, the next or a later one. The rhythm stays. Errors: ErrAlreadySkipped,
// ErrNotOnSchedule, ErrTooManySkipped.
func (s Schedule) Skip(date Date) (Schedule, error) {
	i, found := slices.BinarySearchFunc(s.Skipped, date, Date.Compare)
	if found {
		return s, ErrAlreadySkipped
	}
	if s.NextDate.IsZero() {
		return s, ErrNotOnSchedule
	}
	if date != s.NextDate {
		if k, ok := s.Rhythm.Position(date); !ok || k <= s.NextK {
			return s, ErrNotOnSchedule
		}
	}
	if len(s.Skipped) >= MaxSkipped {
		return s, ErrTooManySkipped
	}
	isNext := date == s.NextDate
	s.Skipped = slices.Insert(slices.Clone(s.Skipped), i, date)
	if isNext {
		s = s.next(s.NextK + 1)
	}
	return s, nil
}

// Unskip brings the skipped order at date back, with the date and position that it had. If it is earlier than the next
// order it becomes the next one, and skipped orders between them are on their rhythm dates again. Errors: ErrNotSkipped;
// ErrNotOnSchedule if no order is due; ErrPast if date is before today; ErrNextMoved if the next order would have to
// give up the date that it was moved to.
func (s Schedule) Unskip(date, today Date) (Schedule, error) {
	i, found := slices.BinarySearchFunc(s.Skipped, date, Date.Compare)
	switch {
	case !found:
		return s, ErrNotSkipped
	case s.NextDate.IsZero():
		return s, ErrNotOnSchedule
	case date.Before(today):
		return s, ErrPast
	}
	passed := s.skippedBeforeNext()
	if i < passed && s.Moved() {
		return s, ErrNextMoved
	}
	skipped := slices.Clone(s.Skipped)
	if i < passed {
		k := s.NextK - passed + i
		for j := i + 1; j < passed; j++ {
			skipped[j] = s.Rhythm.At(k + j - i)
		}
		s.NextK, s.NextDate = k, date
	}
	s.Skipped = tidy(slices.Delete(skipped, i, i+1))
	return s, nil
}

// Move moves the next order, and only this one, to date. Errors: ErrNotOnSchedule if no order is due; ErrPast if date is
// before today; ErrNotAfterPrevious and ErrNotBeforeFollowing if it is not strictly between the neighbours, which may
// be skipped orders.
func (s Schedule) Move(date, today Date) (Schedule, error) {
	if s.NextDate.IsZero() || !date.Valid() {
		return s, ErrNotOnSchedule
	}
	if date == s.NextDate {
		return s, nil
	}
	if date.Before(today) {
		return s, ErrPast
	}
	previous := s.Last
	if passed := s.skippedBeforeNext(); passed > 0 {
		previous = s.Skipped[passed-1]
	}
	if !date.After(previous) {
		return s, ErrNotAfterPrevious
	}
	if following := s.Rhythm.At(s.NextK + 1); !following.IsZero() && !date.Before(following) {
		return s, ErrNotBeforeFollowing
	}
	s.NextDate = date
	return s, nil
}

// Restart begins a new rhythm of the same interval with the next order at date: date is the anchor and has position 0.
// The anchor day stays if date agrees with it; else the day is date's own. Skipped dates belonged to the old rhythm
// and go with it. Errors: ErrPast if date is before today; ErrNotAfterPrevious if it is not after Last.
func (s Schedule) Restart(date, today Date) (Schedule, error) {
	switch {
	case !date.Valid():
		return s, ErrNotOnSchedule
	case date.Before(today):
		return s, ErrPast
	case !date.After(s.Last):
		return s, ErrNotAfterPrevious
	}
	return s.rebased(date, s.Rhythm.Every), nil
}

// Rebase changes the interval. The next order keeps its date, which becomes the anchor, as in Restart; skipped dates go
// with the old rhythm. The same interval changes nothing. If no order is due it is RebaseOnResume. The error is
// ErrInterval.
func (s Schedule) Rebase(every Interval) (Schedule, error) {
	if s.NextDate.IsZero() {
		return s.RebaseOnResume(every)
	}
	if !every.Valid() {
		return s, ErrInterval
	}
	if every == s.Rhythm.Every {
		return s, nil
	}
	return s.rebased(s.NextDate, every), nil
}

// RebaseOnResume changes the interval of a paused schedule: the new rhythm counts from the day on which ResumeFrom is
// called. Until then NextK is Unanchored and the old anchor counts for nothing. The same interval changes nothing.
// The error is ErrInterval.
func (s Schedule) RebaseOnResume(every Interval) (Schedule, error) {
	if !every.Valid() {
		return s, ErrInterval
	}
	if every == s.Rhythm.Every {
		return s, nil
	}
	s = s.rebased(s.Rhythm.Anchor, every)
	s.NextK, s.NextDate = Unanchored, Date{}
	return s, nil
}

// ResumeFrom gives the schedule for a subscription that is active again from day on. A next order that is not before
// day stays as it is. Otherwise the next order is at the first rhythm date on or after day that was not billed or
// skipped; the positions between are used up. A rhythm that waits for this day (Unanchored) has its anchor on the
// day, or on the next anchor day, and its next order one interval later.
func (s Schedule) ResumeFrom(day Date) Schedule {
	if s.NextK == Unanchored {
		s.Rhythm.Anchor = Align(day, s.Rhythm.Every, s.Rhythm.AnchorDay)
		return s.next(1)
	}
	if !s.NextDate.IsZero() && !s.NextDate.Before(day) {
		return s
	}
	from, _ := slices.BinarySearchFunc(s.Skipped, day, Date.Compare)
	s.Skipped = tidy(s.Skipped[from:])
	k, _ := s.Rhythm.From(day)
	return s.next(max(k, s.NextK))
}

// next makes the first position from k on that is not skipped the next order.
func (s Schedule) next(k int) Schedule {
	for s.isSkipped(s.Rhythm.At(k)) {
		k++
	}
	s.NextK, s.NextDate = k, s.Rhythm.At(k)
	return s
}

func (s Schedule) rebased(anchor Date, every Interval) Schedule {
	day := s.Rhythm.AnchorDay
	if Align(anchor, every, day) != anchor || !every.byMonth() {
		day = 0
	}
	return Schedule{
		Rhythm:   Rhythm{Anchor: anchor, AnchorDay: day, Every: every},
		NextDate: anchor,
		Last:     s.Last,
	}
}

func (s Schedule) isSkipped(date Date) bool {
	_, found := slices.BinarySearchFunc(s.Skipped, date, Date.Compare)
	return found
}

// skippedBeforeNext gives the number of skipped dates before NextDate.
func (s Schedule) skippedBeforeNext() int {
	n, _ := slices.BinarySearchFunc(s.Skipped, s.NextDate, Date.Compare)
	return n
}

// tidy copies the dates, and gives nil for none, so that equal schedules are deeply equal.
func tidy(dates []Date) []Date {
	if len(dates) == 0 {
		return nil
	}
	return slices.Clone(dates)
}
