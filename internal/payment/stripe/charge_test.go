package stripe_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"perennial/internal/money"
	"perennial/internal/payment"
	"perennial/internal/payment/stripe"
)

var order = payment.ChargeRequest{IdempotencyKey: "att_1", Amount: money.Of(2450, "USD"), Reference: "cus_1/pm_1", OrderID: "ord_1", Description: "Order 1001"}

var (
	unconfirmed = payment.ChargeResult{GatewayID: "pi_1", Status: payment.ActionRequired, Code: payment.CodeAuthenticationRequired, Message: "The bank wants the customer to confirm the payment."}
	taken       = payment.ChargeResult{GatewayID: "pi_1", Status: payment.Succeeded}
)

// intent is fields of a payment intent that order made.
func intent(status string, more ...map[string]any) map[string]any {
	fields := map[string]any{"object": "payment_intent", "id": "pi_1", "status": status, "amount": 2450, "currency": "usd", "payment_method": "pm_1",
		"metadata": map[string]any{"perennial_key": "att_1", "perennial_order": "ord_1"}, "client_secret": "pi_1_secret_2", "last_payment_error": nil}
	for _, m := range more {
		maps.Copy(fields, m)
	}
	return fields
}

// failed is the error of a card.
func failed(code, decline string) map[string]any {
	return map[string]any{"type": "card_error", "code": code, "decline_code": decline, "message": "No.",
		"payment_intent": intent("requires_payment_method", map[string]any{"payment_method": nil})}
}

func TestChargeRequest(t *testing.T) {
	s := at(t, map[string]answer{"POST /v1/payment_intents": with(intent("succeeded"))})
	got, err := s.Charge(t.Context(), order)
	if err != nil || got != taken {
		t.Fatalf("got %+v, %v", got, err)
	}
	want := []call{{"POST /v1/payment_intents", "att_1", url.Values{"amount": {"2450"}, "currency": {"usd"}, "customer": {"cus_1"}, "payment_method": {"pm_1"},
		"payment_method_types[0]": {"card"}, "confirm": {"true"}, "off_session": {"true"}, "description": {"Order 1001"},
		"metadata[perennial_key]": {"att_1"}, "metadata[perennial_order]": {"ord_1"}}}}
	if diff := cmp.Diff(want, s.made("POST /v1/payment_intents")); diff != "" {
		t.Error(diff)
	}
}

// A key that no header can have is hashed, to the same each time.
func TestChargeStrangeKey(t *testing.T) {
	s := at(t, map[string]answer{"POST /v1/payment_intents": with(intent("succeeded"))})
	for _, key := range []string{"a\r\nb: c", "a\r\nb: c", "ключ' OR", strings.Repeat("k", payment.MaxKey)} {
		r := order
		r.IdempotencyKey = key
		if _, err := s.Charge(t.Context(), r); err != nil {
			t.Fatalf("%q: %v", key, err)
		}
		if _, _, err := s.Lookup(t.Context(), payment.Query{Key: key}); err != nil && strings.Contains(err.Error(), "400") {
			t.Fatalf("%q: %v", key, err)
		}
	}
	c := s.made("POST /v1/payment_intents")
	if c[0].Key != c[1].Key || c[1].Key == c[2].Key || c[3].Key != strings.Repeat("k", payment.MaxKey) {
		t.Errorf("got the keys %q, %q, %q, %q", c[0].Key, c[1].Key, c[2].Key, c[3].Key)
	}
}

func TestChargeAnswers(t *testing.T) {
	decline := func(id, code, message string, hard bool) payment.ChargeResult {
		return payment.ChargeResult{GatewayID: id, Status: payment.Declined, Code: code, Message: message, Hard: hard}
	}
	for name, c := range map[string]struct {
		answer answer
		want   payment.ChargeResult
	}{
		"succeeded":         {with(intent("succeeded")), taken},
		"requires action":   {with(intent("requires_action")), unconfirmed},
		"authentication":    {fails(402, failed("authentication_required", "authentication_required")), unconfirmed},
		"only by decline":   {fails(402, failed("card_declined", "authentication_required")), unconfirmed},
		"action required":   {fails(402, failed("payment_intent_action_required", "")), unconfirmed},
		"restricted":        {fails(402, failed("card_declined", "restricted_card")), decline("pi_1", "restricted_card", "No.", true)},
		"never again":       {fails(402, failed("card_declined", "do_not_try_again")), decline("pi_1", "do_not_try_again", "No.", true)},
		"no reason given":   {fails(402, failed("card_declined", "call_issuer")), decline("pi_1", "call_issuer", "No.", false)},
		"generic":           {fails(402, failed("card_declined", "generic_decline")), decline("pi_1", payment.CodeCardDeclined, "No.", false)},
		"no decline code":   {fails(402, failed("card_declined", "")), decline("pi_1", payment.CodeCardDeclined, "No.", false)},
		"funds":             {fails(402, failed("card_declined", "insufficient_funds")), decline("pi_1", payment.CodeInsufficientFunds, "No.", false)},
		"lost":              {fails(402, failed("card_declined", "lost_card")), decline("pi_1", payment.CodeLostCard, "No.", true)},
		"stolen":            {fails(402, failed("card_declined", "stolen_card")), decline("pi_1", payment.CodeStolenCard, "No.", true)},
		"expired":           {fails(402, failed("expired_card", "")), decline("pi_1", payment.CodeExpiredCard, "No.", true)},
		"processing error":  {fails(402, failed("processing_error", "")), decline("pi_1", payment.CodeProcessingError, "No.", false)},
		"another code":      {fails(402, failed("card_declined", "try_again_later")), decline("pi_1", "try_again_later", "No.", false)},
		"without an intent": {fails(402, map[string]any{"type": "card_error", "code": "expired_card", "message": "No."}), decline("", payment.CodeExpiredCard, "No.", true)},
		"no such card": {fails(400, map[string]any{"type": "invalid_request_error", "code": "resource_missing", "param": "payment_method", "message": "No such card."}),
			decline("", payment.CodeMethodUnknown, "No such card.", true)},
		"another's card": {fails(400, map[string]any{"type": "invalid_request_error", "param": "payment_method", "message": "Not theirs."}),
			decline("", payment.CodeMethodUnknown, "Not theirs.", true)},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := at(t, map[string]answer{"POST /v1/payment_intents": c.answer}).Charge(t.Context(), order)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// What Stripe cannot carry out is never asked for.
func TestChargeInvalid(t *testing.T) {
	s := at(t, nil)
	for name, spoil := range map[string]func(*payment.ChargeRequest){
		"no amount":         func(r *payment.ChargeRequest) { r.Amount.Minor = 0 },
		"part of an ariary": func(r *payment.ChargeRequest) { r.Amount = money.Of(199, "MGA") },
		"three digits":      func(r *payment.ChargeRequest) { r.Amount = money.Of(1001, "KWD") },
		"larger than any":   func(r *payment.ChargeRequest) { r.Amount = money.Of(1<<62, "ISK") },
		"nothing to charge": func(r *payment.ChargeRequest) { r.Reference = "" },
	} {
		r := order
		spoil(&r)
		if _, err := s.Charge(t.Context(), r); !errors.Is(err, payment.ErrInvalid) {
			t.Errorf("%s: got %v, want ErrInvalid", name, err)
		}
	}
	for _, reference := range []string{"sim_ok", "pm_1", "cus_1/", "/pm_1", "cus_1/pm_1/", "cus_1/pm_1\n", "pm_1/cus_1"} {
		r := order
		r.Reference = reference
		got, err := s.Charge(t.Context(), r)
		if err != nil || got.Code != payment.CodeMethodUnknown || !got.Hard {
			t.Errorf("%q: got %+v, %v", reference, got, err)
		}
	}
	if len(s.calls) != 0 {
		t.Errorf("Stripe was asked: %v", s.calls)
	}
}

// What is wrong with the request, our key or the account is told as ours, with a code, and nothing is said of the card.
func TestChargeOurs(t *testing.T) {
	missing := map[string]any{"code": "resource_missing", "param": "customer", "message": "No such customer: 'cus_1'"}
	for name, c := range map[string]struct {
		status  int
		wrong   map[string]any
		more    map[string]answer
		want    string // the code
		decline string // or a decline's
	}{
		"too large":         {400, map[string]any{"code": "amount_too_large", "param": "amount"}, nil, payment.CodeAmountTooLarge, ""},
		"another parameter": {400, map[string]any{"code": "resource_missing", "param": "on_behalf_of"}, nil, "resource_missing", ""},
		"no code":           {400, map[string]any{"param": "currency"}, nil, payment.CodeRequestInvalid, ""},
		"account":           {400, map[string]any{"code": "account_invalid"}, nil, payment.CodeAccountInvalid, ""},
		"account closed":    {403, map[string]any{"code": "account_closed"}, nil, payment.CodeAccountInvalid, ""},
		"test charges only": {400, map[string]any{"code": "testmode_charges_only"}, nil, payment.CodeAccountOther, ""},
		"wrong key":         {401, map[string]any{"message": "Invalid API Key provided"}, nil, payment.CodeKeyInvalid, ""},
		"expired key":       {401, map[string]any{"code": "api_key_expired"}, nil, payment.CodeKeyInvalid, ""},
		"not allowed":       {403, map[string]any{"message": "The provided key does not have the required permissions"}, nil, payment.CodeKeyInvalid, ""},
		"of another account": {400, missing, map[string]answer{"GET /v1/customers/{id}": fails(404, map[string]any{"type": "invalid_request_error", "code": "resource_missing"})},
			payment.CodeAccountOther, ""},
		"deleted at Stripe": {400, missing, map[string]answer{"GET /v1/customers/{id}": with(map[string]any{"id": "cus_1", "deleted": true})}, "", payment.CodeMethodUnknown},
		"too small":         {400, map[string]any{"code": "amount_too_small", "param": "amount"}, nil, "", payment.CodeAmountTooSmall},
	} {
		t.Run(name, func(t *testing.T) {
			e := map[string]any{"type": "invalid_request_error", "message": "This is ours."}
			maps.Copy(e, c.wrong)
			answers := map[string]answer{"POST /v1/payment_intents": fails(c.status, e)}
			maps.Copy(answers, c.more)
			got, err := at(t, answers).Charge(t.Context(), order)
			o, ok := errors.AsType[*payment.Ours](err)
			switch {
			case c.decline != "":
				if err != nil || got.Status != payment.Declined || got.Code != c.decline {
					t.Errorf("got %+v, %v", got, err)
				}
			case !ok || o.Code != c.want || !errors.Is(err, payment.ErrInvalid) || !strings.Contains(err.Error(), e["message"].(string)):
				t.Errorf("got %+v, %v; want %s", got, err, c.want)
			}
		})
	}
}

// What Stripe says that it never charges is not asked for.
func TestChargeTooSmall(t *testing.T) {
	s := at(t, nil)
	for _, a := range []money.Amount{money.Of(49, "USD"), money.Of(29, "GBP"), money.Of(49, "JPY"), money.Of(17499, "HUF")} {
		r := order
		r.Amount = a
		if got, err := s.Charge(t.Context(), r); err != nil || got.Status != payment.Declined || got.Code != payment.CodeAmountTooSmall || got.Hard {
			t.Errorf("%s: got %+v, %v", a, got, err)
		}
	}
	if len(s.calls) != 0 {
		t.Errorf("Stripe was asked: %v", s.calls)
	}
}

// After these it is not known what happened, and no error says otherwise or tells a secret.
func TestChargeUnknown(t *testing.T) {
	for name, a := range map[string]answer{
		"rate limit":       fails(429, map[string]any{"type": "invalid_request_error", "code": "rate_limit", "message": "Slowly."}),
		"lock":             fails(429, map[string]any{"type": "invalid_request_error", "code": "lock_timeout", "message": "Locked."}),
		"key in use":       fails(409, map[string]any{"type": "idempotency_error", "code": "idempotency_key_in_use", "message": "Busy."}),
		"fault":            fails(500, map[string]any{"type": "api_error", "message": "Oh.", "payment_intent": intent("succeeded")}),
		"processing":       with(intent("processing")),
		"not confirmed":    with(intent("requires_confirmation")),
		"never tried":      with(intent("requires_payment_method")),
		"not captured":     with(intent("requires_capture")),
		"unknown status":   with(intent("wandering")),
		"not an object":    func(map[string]any) (int, any) { return 200, []int{1} },
		"an error of none": func(map[string]any) (int, any) { return 502, "Bad gateway" },
	} {
		t.Run(name, func(t *testing.T) {
			got, err := at(t, map[string]answer{"POST /v1/payment_intents": a}).Charge(t.Context(), order)
			unknown(t, got, err)
		})
	}
}

func unknown(t *testing.T, got payment.ChargeResult, err error) {
	t.Helper()
	if err == nil || got != (payment.ChargeResult{}) || errors.Is(err, payment.ErrInvalid) || errors.Is(err, payment.ErrKeyReused) {
		t.Fatalf("got %+v, %v; want an error that leaves it open", got, err)
	}
	for _, secret := range []string{secretKey, "_secret_"} {
		if strings.Contains(err.Error(), secret) {
			t.Errorf("the error tells a secret: %v", err)
		}
	}
}

func TestChargeNoAnswer(t *testing.T) {
	var calls atomic.Int64
	cut := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		calls.Add(1)
		panic(http.ErrAbortHandler)
	}))
	defer cut.Close()
	g, err := stripe.New(stripe.Config{SecretKey: secretKey, BaseURL: cut.URL})
	if err != nil {
		t.Fatal(err)
	}
	got, err := g.Charge(t.Context(), order)
	unknown(t, got, err)
	if n := calls.Load(); n != 1 {
		t.Errorf("Stripe was asked %d times; the caller asks again", n)
	}

	held := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // only then does the server notice that the client left
		<-r.Context().Done()
	}))
	defer held.Close()
	g, err = stripe.New(stripe.Config{SecretKey: secretKey, BaseURL: held.URL, HTTPClient: &http.Client{Timeout: 20 * time.Millisecond}})
	if err != nil {
		t.Fatal(err)
	}
	got, err = g.Charge(t.Context(), order)
	unknown(t, got, err)
	g, err = stripe.New(stripe.Config{SecretKey: secretKey, BaseURL: held.URL})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	got, err = g.Charge(ctx, order)
	unknown(t, got, err)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

// A key is bound to what decides about money, and not to the description.
func TestChargeKeyReused(t *testing.T) {
	reused := fails(400, map[string]any{"type": "idempotency_error", "message": "Keys for idempotent requests can only be used with the same parameters."})
	other := intent("succeeded", map[string]any{"id": "pi_0", "metadata": map[string]any{}})
	declined := intent("requires_payment_method", map[string]any{"payment_method": nil,
		"last_payment_error": map[string]any{"type": "card_error", "code": "card_declined", "message": "No.", "payment_method": map[string]any{"id": "pm_1", "object": "payment_method"}}})
	for name, c := range map[string]struct {
		first   map[string]any
		want    payment.ChargeResult
		wantErr error
	}{
		"the same":       {intent("succeeded"), taken, nil},
		"declined":       {declined, payment.ChargeResult{GatewayID: "pi_1", Status: payment.Declined, Code: payment.CodeCardDeclined, Message: "No."}, nil},
		"another amount": {intent("succeeded", map[string]any{"amount": 1}), payment.ChargeResult{}, payment.ErrKeyReused},
		"currency":       {intent("succeeded", map[string]any{"currency": "eur"}), payment.ChargeResult{}, payment.ErrKeyReused},
		"another card":   {intent("succeeded", map[string]any{"payment_method": "pm_2"}), payment.ChargeResult{}, payment.ErrKeyReused},
		"another order":  {intent("succeeded", map[string]any{"metadata": map[string]any{"perennial_key": "att_1", "perennial_order": "ord_2"}}), payment.ChargeResult{}, payment.ErrKeyReused},
		"not theirs":     {other, payment.ChargeResult{}, payment.ErrKeyReused},
	} {
		t.Run(name, func(t *testing.T) {
			s := at(t, map[string]answer{"POST /v1/payment_intents": reused, "GET /v1/payment_intents": list(other, c.first)})
			got, err := s.Charge(t.Context(), order)
			if got != c.want || !errors.Is(err, c.wantErr) {
				t.Errorf("got %+v, %v; want %+v, %v", got, err, c.want, c.wantErr)
			}
		})
	}
}

func TestLookup(t *testing.T) {
	search, all, one := "GET /v1/payment_intents/search", "GET /v1/payment_intents", "GET /v1/payment_intents/{id}"
	byID := func(intents ...map[string]any) answer {
		return func(object map[string]any) (int, any) {
			for _, i := range intents {
				if i["id"] == object["id"] {
					return 200, i
				}
			}
			return 404, map[string]any{"error": map[string]any{"type": "invalid_request_error", "code": "resource_missing"}}
		}
	}
	since := time.Date(2027, 3, 1, 12, 0, 0, 0, time.UTC)
	canceled := intent("canceled", map[string]any{"id": "pi_2"})
	foreign := intent("succeeded", map[string]any{"id": "pi_9", "metadata": map[string]any{"perennial_key": "att_9"}})
	denied := fails(403, map[string]any{"type": "invalid_request_error", "message": "The provided key does not have the required permissions for this endpoint."})
	india := fails(400, map[string]any{"type": "invalid_request_error", "message": "Search is not available in your region."})
	for name, c := range map[string]struct {
		hits, now []map[string]any
		more      map[string]answer
		q         payment.Query
		want      payment.ChargeResult
		found     bool
	}{
		"none":          {},
		"one":           {hits: []map[string]any{intent("succeeded")}, now: []map[string]any{intent("succeeded")}, want: taken, found: true},
		"later than it": {hits: []map[string]any{intent("requires_action")}, now: []map[string]any{intent("succeeded")}, want: taken, found: true},
		"never tried":   {hits: []map[string]any{intent("processing")}, now: []map[string]any{intent("requires_payment_method")}},
		"canceled":      {hits: []map[string]any{canceled}, now: []map[string]any{canceled}, want: payment.GivenUp("pi_2"), found: true},
		"two":           {hits: []map[string]any{canceled, intent("succeeded")}, now: []map[string]any{canceled, intent("succeeded")}, want: taken, found: true},
		"by its id": {q: payment.Query{ChargeID: "pi_1"}, now: []map[string]any{intent("succeeded")}, want: taken, found: true,
			more: map[string]answer{search: fails(500, map[string]any{"type": "api_error"})}},
		"by the id of another": {q: payment.Query{ChargeID: "pi_9"}, now: []map[string]any{foreign}},
		"in the customer's list, where a search is late": {q: payment.Query{Reference: "cus_1/pm_1", Since: since}, want: taken, found: true,
			more: map[string]answer{all: list(foreign, intent("succeeded"))}},
		"in no list, by the search": {q: payment.Query{Reference: "cus_1/pm_1", Since: since}, hits: []map[string]any{intent("succeeded")}, now: []map[string]any{intent("succeeded")},
			more: map[string]answer{all: list(foreign)}, want: taken, found: true},
		"no search, by the customer": {q: payment.Query{Reference: "cus_1/pm_1", Since: since}, more: map[string]answer{all: list(foreign), search: denied}},
		"no search in India":         {q: payment.Query{Since: since}, more: map[string]answer{all: list(foreign, intent("succeeded")), search: india}, want: taken, found: true},
		"a customer of another account": {q: payment.Query{Reference: "cus_1/pm_1"},
			more: map[string]answer{all: fails(400, map[string]any{"type": "invalid_request_error", "code": "resource_missing", "param": "customer"})}},
	} {
		t.Run(name, func(t *testing.T) {
			answers := map[string]answer{search: list(c.hits...), one: byID(c.now...), all: list()}
			maps.Copy(answers, c.more)
			s := at(t, answers)
			c.q.Key = "att_1"
			got, found, err := s.Lookup(t.Context(), c.q)
			if err != nil || found != c.found || got.ChargeResult != c.want {
				t.Errorf("got %+v, %v, %v; want %+v, %v", got, found, err, c.want, c.found)
			}
			if found && (got.Amount != money.Of(2450, "USD") || got.OrderID != "ord_1" || got.Key != "att_1") {
				t.Errorf("got %+v", got)
			}
			if made := s.made(search); len(made) > 0 && made[0].Form.Get("query") != "metadata['perennial_key']:'att_1'" {
				t.Errorf("asked for %s", made[0].Form.Get("query"))
			}
			if made := s.made(all); len(made) > 0 && c.q.Reference != "" && !c.q.Since.IsZero() && (made[0].Form.Get("customer") != "cus_1" || made[0].Form.Get("created[gte]") != fmt.Sprint(since.Add(-time.Hour).Unix())) {
				t.Errorf("asked for %v", made[0].Form)
			}
		})
	}
	for name, answers := range map[string]map[string]answer{
		"processing": {search: list(intent("processing")), one: byID(intent("processing"))},
		"no search":  {search: fails(500, map[string]any{"type": "api_error"})},
		"gone":       {search: list(intent("succeeded")), one: byID()},
	} {
		t.Run(name, func(t *testing.T) {
			got, found, err := at(t, answers).Lookup(t.Context(), payment.Query{Key: "att_1"})
			if found {
				t.Error("it was found")
			}
			if (name == "processing") != errors.Is(err, payment.ErrUndecided) {
				t.Errorf("got %v", err)
			}
			unknown(t, got.ChargeResult, err)
		})
	}
}

func TestCancel(t *testing.T) {
	cancel, one := "POST /v1/payment_intents/{id}/cancel", "GET /v1/payment_intents/{id}"
	ended := fails(400, map[string]any{"type": "invalid_request_error", "code": "payment_intent_unexpected_state", "message": "You cannot cancel this PaymentIntent."})
	for name, c := range map[string]struct {
		answers map[string]answer
		want    payment.ChargeResult
	}{
		"it waited":        {map[string]answer{cancel: with(intent("canceled"))}, payment.GivenUp("pi_1")},
		"before":           {map[string]answer{cancel: ended, one: with(intent("canceled"))}, payment.GivenUp("pi_1")},
		"it was confirmed": {map[string]answer{cancel: ended, one: with(intent("succeeded"))}, taken},
		"unknown":          {map[string]answer{cancel: fails(404, map[string]any{"type": "invalid_request_error", "code": "resource_missing"})}, payment.GivenUp("pi_1")},
	} {
		t.Run(name, func(t *testing.T) {
			s := at(t, c.answers)
			got, err := s.Cancel(t.Context(), "pi_1")
			if err != nil || got != c.want {
				t.Errorf("got %+v, %v; want %+v", got, err, c.want)
			}
			if made := s.made("POST /v1/payment_intents/pi_1/cancel"); len(made) != 1 || made[0].Form.Get("cancellation_reason") != "abandoned" {
				t.Errorf("asked for %+v", made)
			}
		})
	}
	for name, answers := range map[string]map[string]answer{
		"under way":   {cancel: ended, one: with(intent("processing"))},
		"still waits": {cancel: ended, one: with(intent("requires_action"))},
		"no answer":   {cancel: fails(500, map[string]any{"type": "api_error"})},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := at(t, answers).Cancel(t.Context(), "pi_1")
			unknown(t, got, err)
		})
	}
	if got, err := at(t, nil).Cancel(t.Context(), "../refunds"); err != nil || got != payment.GivenUp("../refunds") {
		t.Errorf("an id that is none: got %+v, %v", got, err)
	}
}
