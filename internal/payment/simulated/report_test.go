package simulated_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"perennial/internal/money"
	"perennial/internal/payment"
	"perennial/internal/payment/simulated"
)

// told is what a gateway reports, a line for each.
func told(t *testing.T, g *simulated.Gateway, from, to time.Time) (out []string) {
	t.Helper()
	all, err := g.Reports(t.Context(), from, to)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range all {
		line := fmt.Sprintf("%.1f ", e.At.Sub(noon.Truncate(time.Microsecond)).Hours()/24)
		switch r := e.Report.(type) {
		case payment.PaymentReport:
			line += fmt.Sprintf("%s %s", r.Key, r.Result.Status)
		case payment.RefundReport:
			line += fmt.Sprintf("%s %s", r.Key, r.Result.Status)
		case payment.DisputeReport:
			line += fmt.Sprintf("dispute closed %v won %v", r.Closed, r.Won)
		case payment.MethodReport:
			line += fmt.Sprintf("card %s: %02d/%d, of %s", r.Change, r.Method.ExpMonth, r.Method.ExpYear, r.OrderID)
		}
		out = append(out, line)
	}
	return out
}

func TestReports(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gateway.jsonl")
	for reference, want := range map[string][]string{
		simulated.OK:                  {"0.0 att_1 succeeded"},
		simulated.DeclineHard:         {"0.0 att_1 declined"},
		simulated.TimeoutAfterCharge:  {"0.0 att_1 succeeded"},
		simulated.TimeoutBeforeCharge: nil,
		simulated.ReportsTwice:        {"0.0 att_1 succeeded", "0.0 att_1 succeeded"},
		simulated.ReportsLate:         {"2.0 att_1 succeeded"},
		simulated.DisputeWon:          {"0.0 att_1 succeeded", "6.0 dispute closed false won false", "20.0 dispute closed true won true"},
		simulated.DisputeLost:         {"0.0 att_1 succeeded", "6.0 dispute closed false won false", "20.0 dispute closed true won false"},
		simulated.DisputeBackwards:    {"0.0 att_1 succeeded", "6.0 dispute closed true won false", "20.0 dispute closed false won false"},
		"sim_expires_2026-04":         {"0.0 att_1 succeeded", "30.5 card expiring: 04/2026, of ord_1"},
		"sim_expires_2026-02":         {"0.0 att_1 declined"},
		"sim_expires_soon":            {"0.0 att_1 declined"},
		"sim_renews_2026-04":          {"0.0 att_1 succeeded", "30.5 card expiring: 04/2026, of ord_1", "44.5 card updated: 04/2029, of ord_1"},
	} {
		t.Run(reference, func(t *testing.T) {
			file := path + reference
			g, err := simulated.Open(file, clock, simulated.Options{})
			if err != nil {
				t.Fatal(err)
			}
			_, _ = g.Charge(t.Context(), request("att_1", reference)) // an answer that is lost is an error
			end := noon.AddDate(1, 0, 0)
			for again := range 2 { // after a restart too
				if diff := cmp.Diff(want, told(t, g, time.Time{}, end)); diff != "" {
					t.Errorf("time %d: %s", again, diff)
				}
				var parts []string
				for day := range 366 {
					parts = append(parts, told(t, g, noon.Add(time.Duration(day-1)*24*time.Hour), noon.Add(time.Duration(day)*24*time.Hour))...)
				}
				if diff := cmp.Diff(want, parts); diff != "" {
					t.Errorf("time %d, by day: %s", again, diff)
				}
				if err := g.Close(); err != nil {
					t.Fatal(err)
				}
				if _, err := g.Reports(t.Context(), time.Time{}, end); err == nil {
					t.Error("a closed gateway reports")
				}
				if g, err = simulated.Open(file, clock, simulated.Options{}); err != nil {
					t.Fatal(err)
				}
			}
			if err := g.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestRefundsAndConfirmationsAreReported(t *testing.T) {
	g := simulated.New(clock, simulated.Options{})
	r := charge(t, g, request("att_1", simulated.ActionRequired))
	if err := g.Confirm(t.Context(), r.GatewayID); err != nil {
		t.Fatal(err)
	}
	for key, amount := range map[string]int64{"ref_1": 450, "ref_2": 9000} {
		if _, err := g.Refund(t.Context(), payment.RefundRequest{IdempotencyKey: key, ChargeID: r.GatewayID, Amount: money.Of(amount, "USD")}); err != nil {
			t.Fatal(err)
		}
	}
	got := map[string]int{}
	for _, line := range told(t, g, noon.Add(-time.Second), noon.Add(time.Second)) {
		got[line]++
	}
	if diff := cmp.Diff(map[string]int{"0.0 att_1 succeeded": 2, "0.0 ref_1 succeeded": 1, "0.0 ref_2 declined": 1}, got); diff != "" {
		t.Error(diff)
	}
	if order, err := g.OrderOf(t.Context(), r.GatewayID); order != "ord_1" || err != nil {
		t.Errorf("got %q, %v", order, err)
	}
	if _, err := g.OrderOf(t.Context(), "ch_2"); !errors.Is(err, payment.ErrNotFound) {
		t.Errorf("an unknown charge: %v", err)
	}
	if _, err := g.PaymentMethodOf(t.Context(), simulated.OK); !errors.Is(err, payment.ErrNotFound) {
		t.Errorf("a card without a month: %v", err)
	}
}
