package stripe_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"perennial/internal/payment"
)

const listIntents = "GET /v1/payment_intents"

var (
	dayBegins = time.Date(2027, 3, 3, 0, 0, 0, 0, time.UTC)
	dayEnds   = dayBegins.AddDate(0, 0, 1)
)

// books are lists as Stripe keeps them: it gives those of a time, page after page, the newest first. stripe-mock, which has no
// state, checks each request.
type books struct {
	intents, refunds []map[string]any
	perPage          int
	wrong            map[string]int // how many pages of a route are given before an error
}

func (b books) at(t *testing.T) *site {
	t.Helper()
	return asking(t, map[string]func(url.Values) answer{
		listIntents: func(q url.Values) answer { return b.page(q, listIntents, b.intents) },
		listRefunds: func(q url.Values) answer { return b.page(q, listRefunds, b.refunds) },
	})
}

// page is one of a list, which is sorted.
func (b books) page(q url.Values, route string, list []map[string]any) answer {
	begins, _ := strconv.ParseInt(q.Get("created[gte]"), 10, 64)
	ends, _ := strconv.ParseInt(q.Get("created[lt]"), 10, 64)
	limit, _ := strconv.Atoi(q.Get("limit"))
	data, more, after := []map[string]any{}, false, q.Get("starting_after")
	given := 0
	for _, o := range list {
		created := o["created"].(int64)
		switch {
		case created < begins || created >= ends:
		case after != "":
			given++
			if o["id"] == after {
				after = ""
			}
		case len(data) == min(limit, b.perPage):
			more = true
		default:
			data = append(data, expanded(o, q["expand[0]"]))
		}
	}
	if pages, ok := b.wrong[route]; ok && given/b.perPage >= pages {
		return fails(500, map[string]any{"type": "api_error", "message": "Broken."})
	}
	return with(map[string]any{"data": data, "has_more": more})
}

// expanded is a refund with its payment intent where that was asked for, else with the id of it.
func expanded(o map[string]any, asked []string) map[string]any {
	intent, ok := o["payment_intent"].(map[string]any)
	if !ok || slices.Contains(asked, "data.payment_intent") {
		return o
	}
	short := maps.Clone(o)
	short["payment_intent"] = intent["id"]
	return short
}

// charged is a payment intent of an order; without one, somebody else's.
func charged(key, order string, at time.Time, amount int64, currency string) map[string]any {
	o := map[string]any{"object": "payment_intent", "id": key, "created": at.Unix(), "status": "succeeded", "amount": amount, "amount_received": amount, "currency": currency, "metadata": map[string]any{}}
	if order != "" {
		o["metadata"] = map[string]any{"perennial_key": "att_" + key, "perennial_order": order}
	}
	return o
}

func returned(key string, of map[string]any, at time.Time, amount int64, currency, status string) map[string]any {
	o := map[string]any{"object": "refund", "id": key, "created": at.Unix(), "status": status, "amount": amount, "currency": currency, "payment_intent": nil}
	if of != nil {
		o["payment_intent"] = of
	}
	return o
}

// moved gives all movements of the day, and the error at their end.
func (s *site) moved(t *testing.T) (out []payment.Movement, err error) {
	t.Helper()
	for m, err := range s.Movements(t.Context(), dayBegins, dayEnds) {
		if err != nil {
			return out, err
		}
		out = append(out, m)
	}
	return out, nil
}

// What stripe-mock has of its own is one intent that took nothing, and one refund of a charge that nobody here made.
func TestMovementsRequests(t *testing.T) {
	s := at(t, nil)
	got, err := s.moved(t)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 1 || got[0].Kind != payment.MovedRefund || got[0].OrderID != "" || got[0].ChargeID == "" {
		t.Errorf("got %+v", got)
	}
	created := func(more url.Values) url.Values {
		more.Set("created[gte]", strconv.FormatInt(dayBegins.Unix(), 10))
		more.Set("created[lt]", strconv.FormatInt(dayEnds.Unix(), 10))
		more.Set("limit", "100")
		return more
	}
	want := []call{{Route: listIntents, Form: created(url.Values{})}, {Route: listRefunds, Form: created(url.Values{"expand[0]": {"data.payment_intent"}})}}
	if diff := cmp.Diff(want, s.calls); diff != "" {
		t.Error(diff)
	}
}

func TestMovements(t *testing.T) {
	noon := dayBegins.Add(12 * time.Hour)
	old := charged("pi_old", "ord_old", dayBegins.AddDate(0, 0, -20), 900, "usd")
	usd, yen := charged("pi_usd", "ord_1", noon, 2450, "usd"), charged("pi_yen", "ord_2", noon, 500, "jpy")
	b := books{perPage: 100,
		intents: []map[string]any{
			charged("pi_next_day", "ord_9", dayEnds, 1, "usd"), charged("pi_last", "ord_4", dayEnds.Add(-time.Second), 1, "usd"), usd, yen,
			charged("pi_krona", "ord_3", noon, 70000, "isk"), // which Stripe writes with two digits that it does not have
			charged("pi_foreign", "", noon, 100, "usd"), charged("pi_strange", "", noon, 100, "zzz"),
			intent("requires_action", map[string]any{"id": "pi_waits", "created": noon.Unix()}), intent("canceled", map[string]any{"id": "pi_ended", "created": noon.Unix()}),
			charged("pi_first", "ord_5", dayBegins, 1, "usd"), charged("pi_day_before", "ord_9", dayBegins.Add(-time.Second), 1, "usd"), old,
		},
		refunds: []map[string]any{
			returned("re_next_day", usd, dayEnds, 1, "usd", "succeeded"), returned("re_part", usd, noon, 450, "usd", "succeeded"), returned("re_pending", yen, noon, 500, "jpy", "pending"),
			returned("re_failed", usd, noon, 1, "usd", "failed"), returned("re_ended", usd, noon, 1, "usd", "canceled"),
			returned("re_of_an_old_charge", old, noon, 900, "usd", "succeeded"), returned("re_of_no_intent", nil, noon, 1, "usd", "succeeded"),
			returned("re_foreign", charged("pi_foreign", "", noon, 100, "zzz"), noon, 100, "zzz", "succeeded"),
		},
	}
	var got []string
	all, err := b.at(t).moved(t)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range all {
		got = append(got, strings.TrimSpace(fmt.Sprintf("%s %s %s %d %s %s %s", m.Kind, m.GatewayID, m.Amount.Currency, m.Amount.Minor, m.At.Format("02 15:04:05"), m.OrderID, m.Key+m.ChargeID)))
	}
	want := []string{
		"charge pi_last USD 1 03 23:59:59 ord_4 att_pi_last",
		"charge pi_usd USD 2450 03 12:00:00 ord_1 att_pi_usd",
		"charge pi_yen JPY 500 03 12:00:00 ord_2 att_pi_yen",
		"charge pi_krona ISK 700 03 12:00:00 ord_3 att_pi_krona",
		"charge pi_foreign USD 100 03 12:00:00",
		"charge pi_strange  0 03 12:00:00",
		"charge pi_first USD 1 03 00:00:00 ord_5 att_pi_first",
		"refund re_part USD 450 03 12:00:00 ord_1 pi_usd",
		"refund re_pending JPY 500 03 12:00:00 ord_2 pi_yen",
		"refund re_of_an_old_charge USD 900 03 12:00:00 ord_old pi_old",
		"refund re_of_no_intent USD 1 03 12:00:00",
		"refund re_foreign  0 03 12:00:00  pi_foreign",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	// In whatever pages it comes, it is the same.
	for _, n := range []int{1, 2, 3, 7} {
		b.perPage = n
		paged, err := b.at(t).moved(t)
		if diff := cmp.Diff(all, paged); diff != "" || err != nil {
			t.Errorf("%d a page: %v (-want +got):\n%s", n, err, diff)
		}
	}
}

// Whatever goes wrong ends the list with an error that names it, after what came before; a list that ends early is never taken
// for a whole one.
func TestMovementsThatEndEarly(t *testing.T) {
	noon := dayBegins.Add(12 * time.Hour)
	var intents, refunds []map[string]any
	for i := range 4 {
		c := charged(fmt.Sprintf("pi_%d", i), "ord_1", noon, 100, "usd")
		intents, refunds = append(intents, c), append(refunds, returned(fmt.Sprintf("re_%d", i), c, noon, 100, "usd", "succeeded"))
	}
	spoiled := func(list []map[string]any, field string, value any) []map[string]any {
		out := slices.Clone(list)
		out[2] = maps.Clone(list[2])
		out[2][field] = value
		return out
	}
	for name, tt := range map[string]struct {
		b     books
		moved int
		says  string
	}{
		"no intents":                {books{intents: intents, refunds: refunds, wrong: map[string]int{listIntents: 0}}, 0, "Broken."},
		"in the middle of intents":  {books{intents: intents, refunds: refunds, wrong: map[string]int{listIntents: 1}}, 2, "Broken."},
		"no refunds":                {books{intents: intents, refunds: refunds, wrong: map[string]int{listRefunds: 0}}, 4, "Broken."},
		"in the middle of refunds":  {books{intents: intents, refunds: refunds, wrong: map[string]int{listRefunds: 1}}, 6, "Broken."},
		"an unknown currency":       {books{intents: spoiled(intents, "currency", "zzz"), refunds: refunds}, 2, "is not a currency"},
		"no amount of the currency": {books{intents: intents, refunds: spoiled(spoiled(refunds, "currency", "isk"), "amount", 101)}, 6, "is no amount of this currency"},
	} {
		t.Run(name, func(t *testing.T) {
			tt.b.perPage = 2
			s := tt.b.at(t)
			got, err := s.moved(t)
			if len(got) != tt.moved || err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %d movements and then %v, want %d and then %q", len(got), err, tt.moved, tt.says)
			}
			if _, ok := tt.b.wrong[listIntents]; ok && len(s.made(listRefunds)) != 0 {
				t.Error("after an error it goes on to the refunds")
			}
		})
	}
	t.Run("nobody asks for more", func(t *testing.T) {
		s := books{intents: intents, refunds: refunds, perPage: 2}.at(t)
		for _, err := range s.Movements(t.Context(), dayBegins, dayEnds) {
			if err != nil {
				t.Error(err)
			}
			break
		}
		if len(s.calls) != 1 {
			t.Errorf("Stripe was asked %d times for one movement", len(s.calls))
		}
	})
	t.Run("our key is refused", func(t *testing.T) {
		s := at(t, map[string]answer{listIntents: fails(http.StatusUnauthorized, map[string]any{"type": "invalid_request_error", "message": "Invalid API Key."})})
		if got, err := s.moved(t); len(got) != 0 || err == nil || !strings.Contains(err.Error(), "Invalid API Key.") {
			t.Errorf("got %v, %v", got, err)
		}
	})
}
