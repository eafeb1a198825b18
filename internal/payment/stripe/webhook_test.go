package stripe_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stripe/stripe-go/v85/webhook"

	"perennial/internal/money"
	"perennial/internal/payment"
	"perennial/internal/payment/stripe"
)

var noon = time.Date(2027, 3, 1, 12, 0, 0, 0, time.UTC)

func gateway(t testing.TB) *stripe.Gateway {
	g, err := stripe.New(stripe.Config{SecretKey: secretKey, WebhookSecret: webhookSecret})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// event is a report as Stripe writes it.
func event(t testing.TB, kind string, object, before map[string]any) []byte {
	body, err := json.Marshal(map[string]any{"id": "evt_1", "object": "event", "api_version": "2020-08-27", "type": kind, "created": noon.Unix() - 60, "livemode": true,
		"data": map[string]any{"object": object, "previous_attributes": before}})
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func signed(body []byte, secret string, at time.Time) string {
	return webhook.GenerateTestSignedPayload(&webhook.UnsignedPayload{Payload: body, Secret: secret, Timestamp: at}).Header
}

func TestParse(t *testing.T) {
	usd := money.Of(2450, "USD")
	lost := map[string]any{"last_payment_error": map[string]any{"type": "card_error", "code": "card_declined", "decline_code": "lost_card", "message": "No."}}
	dispute := func(status string) map[string]any {
		return map[string]any{"object": "dispute", "id": "dp_1", "amount": 2450, "currency": "usd", "payment_intent": "pi_1", "reason": "fraudulent", "status": status}
	}
	contested := payment.DisputeReport{DisputeID: "dp_1", ChargeID: "pi_1", Amount: usd, Reason: "fraudulent"}
	lostIt, wonIt := contested, contested
	lostIt.Closed, wonIt.Closed, wonIt.Won = true, true, true
	pay := func(result payment.ChargeResult) payment.Report {
		return payment.PaymentReport{Key: "att_1", OrderID: "ord_1", Amount: usd, Result: result}
	}
	given := payment.RefundReport{Key: "ref_1", ChargeID: "pi_1", Amount: money.Of(500, "USD"), RefundID: "re_1", Result: payment.RefundResult{GatewayID: "re_1", Status: payment.Succeeded}}
	pending, failed, byHand := given, given, given
	pending.Pending, byHand.Key = true, ""
	failed.Result = payment.RefundResult{Status: payment.Declined, Code: "declined", Message: "Stripe could not give the money back."}
	expiring := map[string]any{"object": "card", "id": "pm_1", "customer": "cus_1", "brand": "Visa", "last4": "4242", "exp_month": 4, "exp_year": 2031}
	for name, c := range map[string]struct {
		kind           string
		object, before map[string]any
		want           payment.Report
	}{
		"succeeded":          {"payment_intent.succeeded", intent("succeeded"), nil, pay(taken)},
		"failed":             {"payment_intent.payment_failed", intent("requires_payment_method", lost), nil, pay(payment.ChargeResult{GatewayID: "pi_1", Status: payment.Declined, Code: payment.CodeLostCard, Message: "No.", Hard: true})},
		"action required":    {"payment_intent.requires_action", intent("requires_action"), nil, pay(unconfirmed)},
		"canceled":           {"payment_intent.canceled", intent("canceled"), nil, pay(payment.GivenUp("pi_1"))},
		"not our payment":    {"payment_intent.succeeded", intent("succeeded", map[string]any{"metadata": map[string]any{}}), nil, nil},
		"refund":             {"refund.updated", refund("succeeded", nil), nil, given},
		"refund begun":       {"refund.created", refund("pending", nil), nil, pending},
		"refund failed":      {"refund.failed", refund("failed", map[string]any{"failure_reason": "declined"}), nil, failed},
		"refund by hand":     {"refund.created", refund("succeeded", map[string]any{"metadata": nil}), nil, byHand},
		"refund of another":  {"refund.created", refund("succeeded", map[string]any{"payment_intent": nil}), nil, nil},
		"dispute":            {"charge.dispute.created", dispute("needs_response"), nil, contested},
		"dispute lost":       {"charge.dispute.closed", dispute("lost"), nil, lostIt},
		"dispute won":        {"charge.dispute.closed", dispute("won"), nil, wonIt},
		"warning over":       {"charge.dispute.closed", dispute("warning_closed"), nil, wonIt},
		"dispute prevented":  {"charge.dispute.closed", dispute("prevented"), nil, lostIt},
		"dispute not over":   {"charge.dispute.closed", dispute("under_review"), nil, contested},
		"new card":           {"payment_method.automatically_updated", card(nil), nil, payment.MethodReport{Change: payment.MethodUpdated, Method: visa}},
		"card updated":       {"payment_method.updated", card(nil), nil, payment.MethodReport{Change: payment.MethodUpdated, Method: visa}},
		"card detached":      {"payment_method.detached", card(map[string]any{"customer": nil}), map[string]any{"customer": "cus_1"}, payment.MethodReport{Change: payment.MethodDetached, Method: visa}},
		"nobody's card":      {"payment_method.detached", card(map[string]any{"customer": nil}), nil, nil},
		"no card":            {"payment_method.updated", card(map[string]any{"type": "sepa_debit", "card": nil}), nil, nil},
		"card expiring":      {"customer.source.expiring", expiring, nil, payment.MethodReport{Change: payment.MethodExpiring, Method: visa}},
		"an expiring source": {"customer.source.expiring", map[string]any{"object": "card", "id": "card_1", "customer": nil}, nil, nil},
		"a type we ignore":   {"invoice.paid", map[string]any{"object": "invoice"}, nil, nil},
		"a type of tomorrow": {"moon.landed", map[string]any{}, nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			body := event(t, c.kind, c.object, c.before)
			got, err := gateway(t).Parse(body, signed(body, webhookSecret, noon), noon)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(payment.Event{ID: "evt_1", At: noon.Add(-time.Minute), Live: true, Report: c.want}, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestParseSignature(t *testing.T) {
	body := event(t, "invoice.paid", map[string]any{}, nil)
	good := signed(body, webhookSecret, noon)
	other := signed(body, "whsec_old", noon)
	_, otherV1, _ := strings.Cut(other, ",")
	g := gateway(t)
	for name, c := range map[string]struct {
		body   []byte
		header string
		now    time.Time
		want   error
	}{
		"good":                   {body, good, noon, nil},
		"old enough":             {body, good, noon.Add(5 * time.Minute), nil},
		"too old":                {body, good, noon.Add(5*time.Minute + time.Second), stripe.ErrTooOld},
		"our clock is behind":    {body, good, noon.Add(-5 * time.Minute), nil},
		"from the future":        {body, good, noon.Add(-5*time.Minute - time.Second), stripe.ErrTooOld},
		"two secrets in turn":    {body, good + "," + otherV1, noon, nil},
		"another secret":         {body, other, noon, stripe.ErrSignature},
		"another body":           {append([]byte(" "), body...), good, noon, stripe.ErrSignature},
		"a later time":           {body, strings.Replace(good, fmt.Sprint(noon.Unix()), fmt.Sprint(noon.Unix()+600), 1), noon, stripe.ErrSignature},
		"a time before the real": {body, fmt.Sprintf("t=%d,%s", noon.Unix()+600, good), noon.Add(10 * time.Minute), stripe.ErrTooOld},
		"a time after the real":  {body, fmt.Sprintf("%s,t=%d", good, noon.Unix()+600), noon.Add(10 * time.Minute), stripe.ErrSignature},
		"no signature":           {body, fmt.Sprintf("t=%d", noon.Unix()), noon, stripe.ErrSignature},
		"an old scheme":          {body, strings.Replace(good, "v1=", "v0=", 1), noon, stripe.ErrSignature},
		"no header":              {body, "", noon, stripe.ErrSignature},
	} {
		if _, err := g.Parse(c.body, c.header, c.now); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
	// Without a secret everybody could sign.
	unset, err := stripe.New(stripe.Config{SecretKey: secretKey})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := unset.Parse(body, signed(body, "", noon), noon); !errors.Is(err, stripe.ErrSignature) {
		t.Errorf("got %v, want ErrSignature", err)
	}
}

func TestParseUnreadable(t *testing.T) {
	for name, body := range map[string]string{
		"empty":              ``,
		"not JSON":           `id=evt_1`,
		"null":               `null`,
		"no id":              `{"type":"invoice.paid","data":{"object":{}}}`,
		"no data":            `{"id":"evt_1","type":"invoice.paid"}`,
		"a list":             `{"id":"evt_1","type":"payment_intent.succeeded","data":{"object":[]}}`,
		"no object":          `{"id":"evt_1","type":"payment_intent.succeeded","data":{}}`,
		"an odd currency":    `{"id":"evt_1","type":"charge.dispute.created","data":{"object":{"payment_intent":"pi_1","amount":1,"currency":"$"}}}`,
		"half a krona":       `{"id":"evt_1","type":"charge.dispute.created","data":{"object":{"payment_intent":"pi_1","amount":150,"currency":"isk"}}}`,
		"a refund's nothing": `{"id":"evt_1","type":"refund.updated","data":{"object":{"payment_intent":"pi_1","amount":1,"currency":"usd","status":"lost"}}}`,
	} {
		if got, err := gateway(t).Parse([]byte(body), signed([]byte(body), webhookSecret, noon), noon); !errors.Is(err, payment.ErrReport) {
			t.Errorf("%s: got %+v, %v; want ErrReport", name, got, err)
		}
	}
}

// Whatever Stripe signs, it is read to the end or refused as a whole; what it does not sign is never read.
func FuzzParse(f *testing.F) {
	for _, kind := range []string{"payment_intent.succeeded", "payment_intent.payment_failed", "refund.updated", "charge.dispute.closed", "payment_method.detached", "customer.source.expiring"} {
		f.Add(event(f, kind, intent("succeeded"), nil), "t=1,v1=00")
	}
	f.Add(event(f, "refund.updated", refund("failed", nil), nil), "")
	f.Add(event(f, "payment_method.detached", card(nil), map[string]any{"customer": "cus_1"}), "t=1")
	g := gateway(f)
	f.Fuzz(func(t *testing.T, body []byte, header string) {
		if e, err := g.Parse(body, header, noon); !errors.Is(err, stripe.ErrSignature) && !errors.Is(err, stripe.ErrTooOld) {
			t.Fatalf("the header %q was taken: %+v, %v", header, e, err)
		}
		e, err := g.Parse(body, signed(body, webhookSecret, noon), noon)
		if err != nil {
			if !errors.Is(err, payment.ErrReport) || e != (payment.Event{}) {
				t.Fatalf("got %+v, %v", e, err)
			}
			return
		}
		if e.ID == "" {
			t.Fatalf("got %+v", e)
		}
		switch r := e.Report.(type) {
		case nil:
		case payment.PaymentReport:
			if r.Key == "" || r.Result.Status == "" || !money.ValidCurrency(r.Amount.Currency) {
				t.Fatalf("got %+v", r)
			}
		case payment.RefundReport:
			if r.Result.Status == "" || !money.ValidCurrency(r.Amount.Currency) {
				t.Fatalf("got %+v", r)
			}
		case payment.DisputeReport:
			if r.Won && !r.Closed || !money.ValidCurrency(r.Amount.Currency) {
				t.Fatalf("got %+v", r)
			}
		case payment.MethodReport:
			if r.Change == "" || r.Method.Reference == "" {
				t.Fatalf("got %+v", r)
			}
		default:
			t.Fatalf("got a report of type %T", r)
		}
	})
}
