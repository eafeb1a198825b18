package simulated_test

import (
	"errors"
	"testing"
	"time"

	"perennial/internal/money"
	"perennial/internal/payment"
	"perennial/internal/payment/simulated"
)

func TestCards(t *testing.T) {
	g := simulated.New(time.Now, simulated.Options{})
	for number, want := range map[string]struct {
		card payment.Card
		err  error
	}{
		"4242 4242 4242 4242":   {payment.Card{Reference: simulated.OK, Brand: "visa", Last4: "4242", ExpMonth: 4, ExpYear: 2031}, nil},
		"3782-822463-10005":     {payment.Card{Reference: simulated.OK, Brand: "amex", Last4: "0005", ExpMonth: 4, ExpYear: 2031}, nil},
		"4000002760003184":      {payment.Card{Reference: simulated.ActionRequired, Brand: "visa", Last4: "3184", ExpMonth: 4, ExpYear: 2031}, nil},
		"4000 0000 0000 0069":   {payment.Card{Reference: "sim_expires_2031-04", Brand: "visa", Last4: "0069", ExpMonth: 4, ExpYear: 2031}, nil},
		"4000 0000 0000 7049":   {payment.Card{Reference: "sim_renews_2031-04", Brand: "visa", Last4: "7049", ExpMonth: 4, ExpYear: 2031}, nil},
		"4000 0000 0000 0002":   {payment.Card{}, payment.ErrCardDeclined},
		"4111111111111111":      {payment.Card{}, payment.ErrNoCard},
		"":                      {payment.Card{}, payment.ErrNoCard},
		"42424242424242424242 ": {payment.Card{}, payment.ErrNoCard},
	} {
		if got, err := g.Card(number, 4, 2031); got != want.card || !errors.Is(err, want.err) {
			t.Errorf("%q: got %+v, %v", number, got, err)
		}
	}
	for _, c := range simulated.TestCards {
		if c.Reference == "" {
			continue
		}
		if _, err := g.Charge(t.Context(), payment.ChargeRequest{IdempotencyKey: c.Number, Amount: money.Of(100, "USD"), Reference: c.Reference, OrderID: "ord_1"}); err != nil {
			t.Errorf("%s: %v", c.Number, err)
		}
	}
}
