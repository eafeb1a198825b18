package dashboard

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"perennial/internal/auth"
	"perennial/internal/journal"
	"perennial/internal/message"
	"perennial/internal/program"
	"perennial/internal/settings"
	"perennial/internal/web/ui"
)

// A campaign is typed as lines of numbers with a tick, and shown day by day before anybody saves it.
func TestCampaign(t *testing.T) {
	w, owner, _ := owned(t, auth.ProviderConfig{})
	const at = "/settings/recovery"
	days := func(s seen) (out []string) {
		t.Helper()
		_, table, ok := strings.Cut(s.body, `id="foreseen"`)
		if !ok {
			t.Fatalf("there is no preview in\n%s", s.body)
		}
		for line := range strings.SplitSeq(table, "<tr>") {
			if day, after, ok := strings.Cut(strings.TrimPrefix(line, `<th scope="row" class="nowrap">`), "</th>"); ok && strings.HasPrefix(day, "Day ") {
				told := map[bool]string{true: "no mail", false: "mail"}[strings.Contains(after, "no mail")]
				out = append(out, day+": "+told)
			}
		}
		return out
	}
	check := func(s seen, want ...string) {
		t.Helper()
		if diff := cmp.Diff(want, days(s)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	check(owner.get(at), "Day 0: mail", "Day 1: mail", "Day 3: mail", "Day 5: mail", "Day 7: mail")

	filled := func(pairs ...string) seen { return owner.post(at+ui.Preview, append(pairs, "version", "1")...) }
	typed := []string{"retry_days", "", "attempts_1", "2", "interval_1", "1", "attempts_3", "1", "interval_3", "5", "tell_3", "yes", "end_action"}
	check(filled(append(typed, "pause")...), "Day 0: no mail", "Day 1: no mail", "Day 2: no mail", "Day 7: mail")
	check(filled(append(typed, "keep")...), "Day 0: no mail", "Day 1: no mail", "Day 2: no mail", "Day 7: mail", "Day 12, 17 …: mail")
	w.want(filled("attempts_1", "2", "interval_1", "", "end_action", "pause"), 200, at+ui.Preview, "Give two whole numbers for phase 1, or none.")
	w.want(filled("attempts_1", "2", "interval_1", "99", "end_action", "pause"), 200, at+ui.Preview, "In phase 1, give a whole number of days from 1 to 60.")

	from := w.next()
	form := []string{"version", "1", "retry_days", "", "attempts_1", "2", "interval_1", "1", "attempts_3", "1", "interval_3", "5", "tell_3", "yes", "end_action", "pause"}
	w.want(owner.post(at, "version", "1", "attempts_1", "2", "end_action", "pause"), 422, at, "Give two whole numbers for phase 1, or none.")
	w.want(owner.post(at, form...), 200, at, "")
	w.made(from, "recovery_settings.updated")
	r, err := journal.Get[settings.Recovery](program.NewReader(t.Context(), w.Store, w.Store.Read), journal.Settings, settings.PageRecovery)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]settings.RecoveryPhase{{Attempts: 2, IntervalDays: 1, Silent: true}, {Attempts: 1, IntervalDays: 5}}, r.Phases); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	again := owner.get(at)
	check(again, "Day 0: no mail", "Day 1: no mail", "Day 2: no mail", "Day 7: mail")
	if strings.Count(again.body, `name="tell_1" value="yes" checked`) != 0 || strings.Count(again.body, `name="tell_2" value="yes" checked`) != 1 {
		t.Error("the ticks are not those that were saved")
	}

	// Where the message is switched off, there is none on any day.
	w.Do(journal.Bind(message.Disable{Name: message.PaymentFailed}))
	check(w.want(owner.get(at), 200, at, "is switched off"), "Day 0: no mail", "Day 1: no mail", "Day 2: no mail", "Day 7: no mail")
}
