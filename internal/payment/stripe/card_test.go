package stripe_test

import (
	"errors"
	"maps"
	"net/url"
	"testing"

	"github.com/google/go-cmp/cmp"

	"perennial/internal/payment"
	"perennial/internal/payment/stripe"
)

func card(more map[string]any) map[string]any {
	fields := map[string]any{"object": "payment_method", "id": "pm_1", "type": "card", "customer": "cus_1",
		"card": map[string]any{"brand": "visa", "last4": "4242", "exp_month": 4, "exp_year": 2031}}
	maps.Copy(fields, more)
	return fields
}

var visa = stripe.Method{Reference: "cus_1/pm_1", Brand: "visa", Last4: "4242", ExpMonth: 4, ExpYear: 2031}

func TestCreateCustomer(t *testing.T) {
	s := at(t, nil)
	got, err := s.CreateCustomer(t.Context(), stripe.NewCustomer{IdempotencyKey: "op_1", CustomerID: "cus_ours", Name: "Ada", Email: "ada@example.com"})
	if err != nil || got == "" {
		t.Fatalf("got %q, %v", got, err)
	}
	want := []call{{"POST /v1/customers", "op_1", url.Values{"name": {"Ada"}, "email": {"ada@example.com"}, "metadata[perennial_customer]": {"cus_ours"}}}}
	if diff := cmp.Diff(want, s.calls); diff != "" {
		t.Error(diff)
	}
	if reference := stripe.Reference(got, "pm_1"); reference != got+"/pm_1" {
		t.Errorf("got the reference %q", reference)
	}
}

func TestCreateSetupIntent(t *testing.T) {
	s := at(t, nil)
	got, err := s.CreateSetupIntent(t.Context(), "cus_1")
	if err != nil || got.ID == "" || got.ClientSecret == "" {
		t.Fatalf("got %+v, %v", got, err)
	}
	want := url.Values{"customer": {"cus_1"}, "payment_method_types[0]": {"card"}, "usage": {"off_session"}}
	if diff := cmp.Diff(want, s.calls[0].Form); diff != "" {
		t.Error(diff)
	}
	missing := at(t, map[string]answer{"POST /v1/setup_intents": fails(400, map[string]any{"type": "invalid_request_error", "code": "resource_missing", "param": "customer", "message": "No such customer."})})
	if _, err := missing.CreateSetupIntent(t.Context(), "cus_1"); !errors.Is(err, payment.ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound", err)
	}
}

func TestFinishSetup(t *testing.T) {
	setup := func(customer any, status string, method any) answer {
		return with(map[string]any{"customer": customer, "status": status, "payment_method": method})
	}
	for name, c := range map[string]struct {
		answer  answer
		want    stripe.Method
		wantErr error
	}{
		"finished":         {setup("cus_1", "succeeded", card(nil)), visa, nil},
		"not yet attached": {setup("cus_1", "succeeded", card(map[string]any{"customer": nil})), visa, nil},
		"to be confirmed":  {setup("cus_1", "requires_action", card(nil)), stripe.Method{}, stripe.ErrNotFinished},
		"no card":          {setup("cus_1", "succeeded", nil), stripe.Method{}, stripe.ErrNotFinished},
		"somebody else's":  {setup("cus_2", "succeeded", card(nil)), stripe.Method{}, payment.ErrNotFound},
		"nobody's":         {setup(nil, "succeeded", card(nil)), stripe.Method{}, payment.ErrNotFound},
		"unknown":          {fails(404, map[string]any{"type": "invalid_request_error", "code": "resource_missing"}), stripe.Method{}, payment.ErrNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := at(t, map[string]answer{"GET /v1/setup_intents/{id}": c.answer}).FinishSetup(t.Context(), "cus_1", "seti_1")
			if got != c.want || !errors.Is(err, c.wantErr) {
				t.Errorf("got %+v, %v; want %+v, %v", got, err, c.want, c.wantErr)
			}
		})
	}
	s := at(t, nil)
	if _, err := s.FinishSetup(t.Context(), "cus_1", "../customers/cus_1"); !errors.Is(err, payment.ErrNotFound) || len(s.calls) != 0 {
		t.Errorf("got %v after %v", err, s.calls)
	}
}

func TestPaymentMethodOf(t *testing.T) {
	for name, c := range map[string]struct {
		fields  map[string]any
		want    stripe.Method
		wantErr error
	}{
		"theirs":          {card(nil), visa, nil},
		"detached":        {card(map[string]any{"customer": nil}), stripe.Method{}, payment.ErrNotFound},
		"somebody else's": {card(map[string]any{"customer": "cus_2"}), stripe.Method{}, payment.ErrNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := at(t, map[string]answer{"GET /v1/payment_methods/{id}": with(c.fields)}).PaymentMethodOf(t.Context(), "cus_1/pm_1")
			if got != c.want || !errors.Is(err, c.wantErr) {
				t.Errorf("got %+v, %v; want %+v, %v", got, err, c.want, c.wantErr)
			}
		})
	}
	debit := at(t, map[string]answer{"GET /v1/payment_methods/{id}": with(card(map[string]any{"type": "sepa_debit", "card": nil}))})
	if got, err := debit.PaymentMethodOf(t.Context(), "cus_1/pm_1"); err == nil {
		t.Errorf("what is no card reads as %+v", got)
	}
	if _, err := debit.PaymentMethodOf(t.Context(), "sim_ok"); !errors.Is(err, payment.ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound", err)
	}
}

func TestConfirm(t *testing.T) {
	redirect := map[string]any{"type": "redirect_to_url", "redirect_to_url": map[string]any{"url": "https://bank.example/3ds", "return_url": "https://shop.example"}}
	tried := map[string]any{"payment_method": nil, "last_payment_error": map[string]any{"type": "card_error", "code": "authentication_required", "payment_method": map[string]any{"id": "pm_1", "object": "payment_method"}}}
	for name, c := range map[string]struct {
		fields map[string]any
		want   stripe.Confirmation
	}{
		"by the script": {intent("requires_action"), stripe.Confirmation{ClientSecret: "pi_1_secret_2", MethodID: "pm_1"}},
		"on a page":     {intent("requires_action", map[string]any{"next_action": redirect}), stripe.Confirmation{ClientSecret: "pi_1_secret_2", MethodID: "pm_1", URL: "https://bank.example/3ds"}},
		"once more":     {intent("requires_payment_method", tried), stripe.Confirmation{ClientSecret: "pi_1_secret_2", MethodID: "pm_1"}},
	} {
		got, err := at(t, map[string]answer{getIntent: with(c.fields)}).Confirm(t.Context(), "pi_1")
		if err != nil || got != c.want {
			t.Errorf("%s: got %+v, %v; want %+v", name, got, err, c.want)
		}
	}
}
