package analytics

import (
	"perennial/internal/civil"
	"perennial/internal/fault"
	"perennial/internal/id"
)

// Granularity is how long the periods of a report are.
type Granularity string

// The granularities. A week begins on Monday.
const (
	Daily   Granularity = "day"
	Weekly  Granularity = "week"
	Monthly Granularity = "month"
)

// maxPeriods is how many rows a report may have.
const maxPeriods = 1000

// Query says what a report is about. The zero Query means the last 30 days.
type Query struct {
	From, To civil.Date  // days of the shop's zone; To is the first one after; zero: the last 30 days, today included
	By       Granularity // empty: by the length of the range
	Product  id.ID       // empty: all
	Compare  bool        // with the period before
}

// Period is some days: From and the days after it before To. In a report the first and the last one may be cut off by its range.
type Period struct {
	From civil.Date `json:"from"`
	To   civil.Date `json:"to"`
}

// normal fills in what a query leaves open, and refuses what makes no sense.
func (q Query) normal(today civil.Date) (Query, error) {
	if q.To.IsZero() {
		q.To = today.AddDays(1)
	}
	if q.From.IsZero() {
		q.From = q.To.AddDays(-30)
	}
	days := q.From.DaysUntil(q.To)
	if q.By == "" {
		switch {
		case days <= 31:
			q.By = Daily
		case days <= 183:
			q.By = Weekly
		default:
			q.By = Monthly
		}
	}
	var f fault.Fields
	switch {
	case !q.From.Valid() || !q.To.Valid():
		f.Add("/query/from", "date_invalid", "Give dates in the form 2006-01-02.")
	case days < 1:
		f.Add("/query/to", "date_too_early", "This has to be after {first}, where the report begins.", "first", q.From)
	case q.By != Daily && q.By != Weekly && q.By != Monthly:
		f.Add("/query/by", "not_one_of", "Reports go by day, week or month.", "values", "day, week, month")
	case days/map[Granularity]int{Daily: 1, Weekly: 7, Monthly: 28}[q.By] > maxPeriods:
		f.Add("/query/by", "too_many", "These are more than {most} periods. Choose longer ones, or fewer days.", "most", maxPeriods)
	}
	return q, f.Err()
}

// before is the range of the same length before a query's: as many months when it is of whole months, otherwise as many days.
func (q Query) before() Period {
	if q.From.Day == 1 && q.To.Day == 1 {
		months := 12*(q.To.Year-q.From.Year) + int(q.To.Month-q.From.Month)
		return Period{q.From.AddMonths(-months), q.From}
	}
	return Period{q.From.AddDays(-q.From.DaysUntil(q.To)), q.From}
}

// periods cuts a range into days, weeks or months.
func (p Period) periods(by Granularity) (out []Period) {
	for from := p.From; from.Before(p.To); {
		to := from.AddDays(1)
		switch by {
		case Weekly:
			to = from.AddDays(7 - int(from.Weekday()+6)%7)
		case Monthly:
			to = civil.Date{Year: from.Year, Month: from.Month, Day: 1}.AddMonths(1)
		}
		if p.To.Before(to) {
			to = p.To
		}
		out = append(out, Period{from, to})
		from = to
	}
	return out
}

// share gives a part of a whole in basis points, rounded half up; nil when there is no whole.
func share(part, whole int64) *int64 {
	if whole <= 0 {
		return nil
	}
	return new((part*10_000 + whole/2) / whole)
}

// firstMonth gives the first day of a day's month.
func firstMonth(d civil.Date) civil.Date { return civil.Date{Year: d.Year, Month: d.Month, Day: 1} }

func earlier(a, b civil.Date) civil.Date {
	if b.Before(a) {
		return b
	}
	return a
}
