package stripe_test

import (
	"errors"
	"maps"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"perennial/internal/money"
	"perennial/internal/payment"
)

const (
	getIntent   = "GET /v1/payment_intents/{id}"
	listRefunds = "GET /v1/refunds"
	postRefund  = "POST /v1/refunds"
)

var back = payment.RefundRequest{IdempotencyKey: "ref_1", ChargeID: "pi_1", Amount: money.Of(500, "USD"), Reason: "broken cup"}

func refund(status string, more map[string]any) map[string]any {
	fields := map[string]any{"object": "refund", "id": "re_1", "status": status, "amount": 500, "currency": "usd", "payment_intent": "pi_1",
		"metadata": map[string]any{"perennial_key": "ref_1"}}
	maps.Copy(fields, more)
	return fields
}

func TestRefundRequest(t *testing.T) {
	s := at(t, map[string]answer{getIntent: with(intent("succeeded")), listRefunds: list(), postRefund: with(refund("succeeded", nil))})
	got, err := s.Refund(t.Context(), back)
	if err != nil || got != (payment.RefundResult{GatewayID: "re_1", Status: payment.Succeeded}) {
		t.Fatalf("got %+v, %v", got, err)
	}
	want := []call{{postRefund, "ref_1", url.Values{"amount": {"500"}, "payment_intent": {"pi_1"}, "metadata[perennial_key]": {"ref_1"}, "metadata[reason]": {"broken cup"}}}}
	if diff := cmp.Diff(want, s.made(postRefund)); diff != "" {
		t.Error(diff)
	}
	long := back
	long.Reason = strings.Repeat("ß", 2000)
	if _, err := s.Refund(t.Context(), long); err != nil {
		t.Fatal(err)
	}
	if reason := s.made(postRefund)[1].Form.Get("metadata[reason]"); reason != strings.Repeat("ß", 500) {
		t.Errorf("the reason is %q", reason)
	}
}

// A refund that is there under the key is not made again, and nothing is asked of Stripe that it does not need.
func TestRefundAgain(t *testing.T) {
	for name, c := range map[string]struct {
		first   map[string]any
		want    payment.RefundResult
		wantErr error
	}{
		"the same":       {refund("succeeded", nil), payment.RefundResult{GatewayID: "re_1", Status: payment.Succeeded}, nil},
		"failed":         {refund("failed", map[string]any{"failure_reason": "lost_or_stolen_card"}), payment.RefundResult{Status: payment.Declined, Code: "lost_or_stolen_card", Message: "Stripe could not give the money back."}, nil},
		"another amount": {refund("succeeded", map[string]any{"amount": 1}), payment.RefundResult{}, payment.ErrKeyReused},
		"currency":       {refund("succeeded", map[string]any{"currency": "eur"}), payment.RefundResult{}, payment.ErrKeyReused},
	} {
		t.Run(name, func(t *testing.T) {
			other := refund("succeeded", map[string]any{"id": "re_0", "metadata": map[string]any{}})
			s := at(t, map[string]answer{getIntent: with(intent("succeeded")), listRefunds: list(other, c.first)})
			got, err := s.Refund(t.Context(), back)
			if got != c.want || !errors.Is(err, c.wantErr) {
				t.Errorf("got %+v, %v; want %+v, %v", got, err, c.want, c.wantErr)
			}
			if made := s.made(postRefund); len(made) != 0 {
				t.Errorf("a refund was made: %v", made)
			}
		})
	}
}

func TestRefundAnswers(t *testing.T) {
	refuse := func(code, param string) answer {
		return fails(400, map[string]any{"type": "invalid_request_error", "code": code, "param": param, "message": "No."})
	}
	no := func(code, message string) payment.RefundResult {
		return payment.RefundResult{Status: payment.Declined, Code: code, Message: message}
	}
	yes := payment.RefundResult{GatewayID: "re_1", Status: payment.Succeeded}
	for name, c := range map[string]struct {
		charge, answer answer
		want           payment.RefundResult
		wantErr        error
	}{
		"pending":        {nil, with(refund("pending", nil)), yes, nil},
		"failed":         {nil, with(refund("failed", nil)), no("failed", "Stripe could not give the money back."), nil},
		"too much":       {nil, refuse("", "amount"), no(payment.CodeAmountTooLarge, "No."), nil},
		"all was given":  {nil, refuse("charge_already_refunded", ""), no(payment.CodeAmountTooLarge, "No."), nil},
		"disputed":       {nil, refuse("charge_disputed", ""), no("charge_disputed", "No."), nil},
		"another reason": {nil, refuse("", "reason"), payment.RefundResult{}, payment.ErrInvalid},
		"key reused":     {nil, fails(400, map[string]any{"type": "idempotency_error", "message": "No."}), payment.RefundResult{}, payment.ErrKeyReused},
		"no charge":      {fails(404, map[string]any{"type": "invalid_request_error", "code": "resource_missing", "message": "No such intent."}), nil, no(payment.CodeChargeUnknown, "No such intent."), nil},
		"took nothing":   {with(intent("requires_action")), nil, no(payment.CodeChargeNotSucceeded, "The charge took no money."), nil},
		"euros":          {with(intent("succeeded", map[string]any{"currency": "eur"})), nil, no(payment.CodeCurrencyMismatch, "The charge was made in EUR."), nil},
	} {
		t.Run(name, func(t *testing.T) {
			answers := map[string]answer{getIntent: with(intent("succeeded")), listRefunds: list()}
			if c.charge != nil {
				answers[getIntent] = c.charge
			}
			if c.answer != nil {
				answers[postRefund] = c.answer
			}
			s := at(t, answers)
			got, err := s.Refund(t.Context(), back)
			if got != c.want || !errors.Is(err, c.wantErr) {
				t.Errorf("got %+v, %v; want %+v, %v", got, err, c.want, c.wantErr)
			}
			if made := s.made(postRefund); (len(made) == 1) != (c.answer != nil) {
				t.Errorf("refunds were asked for: %v", made)
			}
		})
	}
	s, odd := at(t, nil), back
	odd.ChargeID = "../refunds"
	if got, err := s.Refund(t.Context(), odd); err != nil || got.Code != payment.CodeChargeUnknown || len(s.calls) != 0 {
		t.Errorf("a charge that Stripe cannot have: got %+v, %v after %v", got, err, s.calls)
	}
}

func TestRefundUnknown(t *testing.T) {
	fault := fails(500, map[string]any{"type": "api_error"})
	for name, changed := range map[string]map[string]answer{
		"no charge": {getIntent: fault},
		"no list":   {listRefunds: fault},
		"no answer": {postRefund: fault},
		"slowly":    {postRefund: fails(429, map[string]any{"type": "invalid_request_error", "code": "rate_limit"})},
		"in use":    {postRefund: fails(409, map[string]any{"type": "idempotency_error", "code": "idempotency_key_in_use"})},
		"no status": {postRefund: with(refund("", nil))},
	} {
		answers := map[string]answer{getIntent: with(intent("succeeded")), listRefunds: list()}
		maps.Copy(answers, changed)
		got, err := at(t, answers).Refund(t.Context(), back)
		if err == nil || got != (payment.RefundResult{}) || errors.Is(err, payment.ErrInvalid) || errors.Is(err, payment.ErrKeyReused) {
			t.Errorf("%s: got %+v, %v", name, got, err)
		}
	}
	_, err := at(t, map[string]answer{getIntent: fails(401, map[string]any{"type": "invalid_request_error"})}).Refund(t.Context(), back)
	if o, ok := errors.AsType[*payment.Ours](err); !ok || o.Code != payment.CodeKeyInvalid {
		t.Errorf("our own key: got %v", err)
	}
}
