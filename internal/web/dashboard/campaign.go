package dashboard

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/a-h/templ"

	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/message"
	"perennial/internal/settings"
	"perennial/internal/web/ui"
)

// phaseRow is a phase of a campaign as a form has it: two numbers as they were typed, and a tick.
type phaseRow struct {
	Attempts, Interval string
	Tell               bool
}

func (r phaseRow) empty() bool { return r.Attempts == "" && r.Interval == "" }

// recoveryFields are those of the page "recovery".
func recoveryFields(_ *call, d settings.Document, v url.Values) []formField {
	r := d.(*settings.Recovery)
	var days []string
	for _, n := range r.RetryDays {
		days = append(days, strconv.Itoa(n))
	}
	rows := make([]phaseRow, settings.MaxPhases)
	for i := range rows {
		rows[i].Tell = true
		if i < len(r.Phases) {
			p := r.Phases[i]
			rows[i] = phaseRow{strconv.Itoa(p.Attempts), strconv.Itoa(p.IntervalDays), !p.Silent}
		}
	}
	if v.Has("version") {
		rows = typedPhases(v)
	}
	hour := ""
	if r.RetryHour != nil {
		hour = strconv.Itoa(*r.RetryHour)
	}
	return []formField{textField("input", "retry_days", "Try again after days", filled(v, "retry_days", strings.Join(days, ", ")), "Counted from the failed payment, rising: 1, 3, 5, 7. Leave it empty when there are phases."),
		{kind: "phases", Field: ui.Field{Name: "phases", Label: "Or in phases", Hint: "One after the other. Without its tick, customers get no message when a payment of the phase fails. The first failure belongs to the first phase."}, phases: rows},
		textField("input", "retry_hour", "At this hour of the day", filled(v, "retry_hour", hour), "0 to 23, in the shop's time zone. Empty: the hour of billing."),
		{kind: "radios", Field: ui.Field{Name: "end_action", Label: "When the last try failed", Value: filled(v, "end_action", r.EndAction)}, options: endActions}}
}

func typedPhases(v url.Values) (rows []phaseRow) {
	for i := range settings.MaxPhases {
		n := strconv.Itoa(i + 1)
		rows = append(rows, phaseRow{strings.TrimSpace(v.Get("attempts_" + n)), strings.TrimSpace(v.Get("interval_" + n)), v.Get("tell_"+n) == "yes"})
	}
	return rows
}

// recoveryDocument reads them.
func recoveryDocument(_ *call, d settings.Document, in *input) settings.Document {
	r := journal.Clone(d.(*settings.Recovery))
	r.RetryDays, r.Phases = []int{}, nil
	for _, s := range in.words("retry_days") {
		n, err := strconv.Atoi(s)
		if err != nil {
			in.wrong.Add("/retry_days", "numbers_invalid", "Give whole numbers with commas between them.")
		}
		r.RetryDays = append(r.RetryDays, n)
	}
	for i, row := range typedPhases(in.Values) {
		if row.empty() {
			continue
		}
		attempts, err := strconv.Atoi(row.Attempts)
		days, err2 := strconv.Atoi(row.Interval)
		if err != nil || err2 != nil {
			in.wrong.Add("/phases", "phase_incomplete", "Give two whole numbers for phase {phase}, or none.", "phase", i+1)
		}
		r.Phases = append(r.Phases, settings.RecoveryPhase{Attempts: attempts, IntervalDays: days, Silent: !row.Tell})
	}
	r.RetryHour, r.EndAction = in.optional("retry_hour"), in.text("end_action")
	return r
}

// campaignDay is a day on which a payment is tried, counted from the first failure.
type campaignDay struct {
	Day, What string
	Told      bool
}

type campaignView struct {
	Days []campaignDay
	End  string
	Off  bool // the message "Payment failed" is switched off
}

// campaign is what a document of the page "recovery" comes to, day by day.
func (c *call) campaign(d settings.Document) (templ.Component, error) {
	t, err := journal.Find[message.Template](c.reader(), journal.NotificationTemplate, id.ID(message.PaymentFailed))
	if err != nil {
		return nil, err
	}
	return campaignPart(campaignOf(d.(*settings.Recovery), t != nil && t.Disabled)), nil
}

func campaignOf(r *settings.Recovery, off bool) campaignView {
	days, repeat := r.Schedule()
	silent := r.SilentDays()
	told := func(day int) bool { return !off && !slices.Contains(silent, day) }
	v := campaignView{Off: off, Days: []campaignDay{{"Day 0", "The payment fails", told(0)}}}
	for i, n := range days {
		v.Days = append(v.Days, campaignDay{fmt.Sprintf("Day %d", n), fmt.Sprintf("Try %d of %d fails", i+1, len(days)), told(n)})
	}
	last := 0
	if len(days) > 0 {
		last = days[len(days)-1]
	}
	if repeat > 0 {
		v.Days[len(v.Days)-1].What = fmt.Sprintf("Try %d fails", len(days))
		v.Days = append(v.Days, campaignDay{fmt.Sprintf("Day %d, %d …", last+repeat, last+2*repeat), "Every further try fails", told(last)})
	}
	v.End = map[string]string{settings.EndCancel: "the subscription is cancelled.", settings.EndPause: "the subscription is paused.",
		settings.EndSkip: "the order is given up, the subscription goes on with the next one.", settings.EndKeep: ""}[r.EndAction]
	if v.End != "" {
		v.End = fmt.Sprintf("After day %d %s", last, v.End)
	}
	return v
}
