package payment_test

import (
	"errors"
	"strings"
	"testing"

	"perennial/internal/money"
	"perennial/internal/payment"
)

func TestChargeRequestCheck(t *testing.T) {
	good := payment.ChargeRequest{IdempotencyKey: "att_1", Amount: money.Of(2450, "USD"), Reference: "sim_ok", OrderID: "ord_1"}
	if err := good.Check(); err != nil {
		t.Fatalf("a good request: %v", err)
	}
	for name, spoil := range map[string]func(*payment.ChargeRequest){
		"no key":          func(r *payment.ChargeRequest) { r.IdempotencyKey = "" },
		"long key":        func(r *payment.ChargeRequest) { r.IdempotencyKey = strings.Repeat("k", payment.MaxKey+1) },
		"not UTF-8":       func(r *payment.ChargeRequest) { r.IdempotencyKey = "att_\xff" },
		"zero":            func(r *payment.ChargeRequest) { r.Amount.Minor = 0 },
		"negative":        func(r *payment.ChargeRequest) { r.Amount.Minor = -1 },
		"no currency":     func(r *payment.ChargeRequest) { r.Amount.Currency = "" },
		"lower case":      func(r *payment.ChargeRequest) { r.Amount.Currency = "usd" },
		"no method":       func(r *payment.ChargeRequest) { r.Reference = "" },
		"nothing is paid": func(r *payment.ChargeRequest) { r.OrderID = "" },
	} {
		t.Run(name, func(t *testing.T) {
			r := good
			spoil(&r)
			if err := r.Check(); !errors.Is(err, payment.ErrInvalid) {
				t.Errorf("got %v, want ErrInvalid", err)
			}
		})
	}
}

func TestRefundRequestCheck(t *testing.T) {
	good := payment.RefundRequest{IdempotencyKey: "ref_1", ChargeID: "ch_1", Amount: money.Of(1, "JPY")}
	if err := good.Check(); err != nil {
		t.Fatalf("a good request: %v", err)
	}
	for name, spoil := range map[string]func(*payment.RefundRequest){
		"no key":    func(r *payment.RefundRequest) { r.IdempotencyKey = "" },
		"zero":      func(r *payment.RefundRequest) { r.Amount.Minor = 0 },
		"no charge": func(r *payment.RefundRequest) { r.ChargeID = "" },
	} {
		t.Run(name, func(t *testing.T) {
			r := good
			spoil(&r)
			if err := r.Check(); !errors.Is(err, payment.ErrInvalid) {
				t.Errorf("got %v, want ErrInvalid", err)
			}
		})
	}
}
