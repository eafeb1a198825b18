package simulated

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"perennial/internal/id"
	"perennial/internal/payment"
)

// When what comes later is reported.
const (
	day         = 24 * time.Hour
	again       = time.Hour // ReportsTwice
	late        = 2 * day   // ReportsLate
	contested   = 6 * day   // a dispute, after the charge
	decided     = 20 * day  // its end, after the charge
	renewalDay  = 15        // of the month
	renewedFor  = 3         // years
	cardsNumber = "4242"    // of a card with a reference that no number leads to
)

// Name is what the program calls the gateway.
func (g *Gateway) Name() string { return "simulated" }

// Reports gives what is reported at from or later and before to, in order of time. The gateway keeps no note of who heard what:
// whoever asks for the same time again hears the same, with payments as they are by now.
func (g *Gateway) Reports(ctx context.Context, from, to time.Time) ([]payment.Event, error) {
	return call(ctx, g, func() ([]payment.Event, error) {
		w := window{from: from, to: to}
		for _, e := range g.ledger.entries {
			switch e.Kind {
			case Charge:
				w.charge(*e, g.ledger.accounts[e.GatewayID].now())
			case Confirmation, Cancellation:
				a := g.ledger.accounts[e.ChargeID]
				w.add(e.At, string(e.Kind)+"_"+e.ChargeID,
					payment.PaymentReport{Key: a.charge.Key, OrderID: string(a.charge.OrderID), Amount: a.charge.Amount, Result: a.now()})
			case Contestation, Decision:
				d := *g.ledger.disputes[e.GatewayID]
				if d.Closed, d.Won = e.Kind == Decision, e.Status == payment.Succeeded; e.Kind == Contestation {
					d.Won = false
				}
				w.add(e.At, fmt.Sprintf("%s_%s_%s", e.Kind, e.GatewayID, e.Status), d)
			case Return:
				w.add(
					e.At,
					"return_"+e.GatewayID,
					payment.RefundReport{Key: g.ledger.refundKey(e.GatewayID), ChargeID: e.ChargeID, Amount: e.Amount, RefundID: e.GatewayID,
						Result: payment.RefundResult{Status: payment.Declined, Code: e.Code, Message: "The bank sent the money back."}},
				)
			case Refund:
				w.add(e.At, "refund_"+e.Key,
					payment.RefundReport{Key: e.Key, ChargeID: e.ChargeID, Amount: e.Amount, RefundID: e.GatewayID, Result: e.refundResult()})
			}
		}
		slices.SortStableFunc(w.events, func(a, b payment.Event) int { return a.At.Compare(b.At) })
		return w.events, nil
	})
}

// window collects the reports of a time.
type window struct {
	from, to time.Time
	events   []payment.Event
}

func (w *window) add(at time.Time, what string, r payment.Report) {
	if !at.Before(w.from) && at.Before(w.to) {
		w.events = append(w.events, payment.Event{ID: "rep_sim_" + what, At: at, Report: r})
	}
}

// contestedBy gives the dispute that a card brings on a charge, as it is at a time.
func contestedBy(e Entry, now time.Time) (d payment.DisputeReport, ok bool) {
	if e.Reference != DisputeWon && e.Reference != DisputeLost && e.Reference != DisputeBackwards || now.Before(e.At.Add(contested)) {
		return d, false
	}
	d = payment.DisputeReport{DisputeID: gatewayID("dp", e.Key), ChargeID: e.GatewayID, Amount: e.Amount, Reason: "fraudulent"}
	d.Closed = e.Reference == DisputeBackwards || !now.Before(e.At.Add(decided))
	d.Won = d.Closed && e.Reference == DisputeWon
	return d, true
}

// refundKey is the idempotency key of a refund.
func (l *ledger) refundKey(refundID string) string {
	for key, i := range l.byKey {
		if l.entries[i].Kind == Refund && l.entries[i].GatewayID == refundID {
			return key
		}
	}
	return ""
}

// charge adds what is reported because of a charge.
func (w *window) charge(e Entry, now payment.ChargeResult) {
	paid := payment.PaymentReport{Key: e.Key, OrderID: string(e.OrderID), Amount: e.Amount, Result: now}
	opened := payment.DisputeReport{DisputeID: gatewayID("dp", e.Key), ChargeID: e.GatewayID, Amount: e.Amount, Reason: "fraudulent"}
	closed := opened
	closed.Closed, closed.Won = true, e.Reference == DisputeWon
	begin, end := e.At.Add(contested), e.At.Add(decided)
	what := "charge_" + e.GatewayID
	switch e.Reference {
	case ReportsTwice:
		w.add(e.At, what, paid)
		w.add(e.At.Add(again), what, paid)
	case ReportsLate:
		w.add(e.At.Add(late), what, paid)
	case DisputeBackwards:
		w.add(e.At, what, paid)
		w.add(begin, "closed_"+closed.DisputeID, closed)
		w.add(end, "opened_"+opened.DisputeID, opened)
	case DisputeWon, DisputeLost:
		w.add(e.At, what, paid)
		w.add(begin, "opened_"+opened.DisputeID, opened)
		w.add(end, "closed_"+closed.DisputeID, closed)
	default:
		w.add(e.At, what, paid)
	}
	if c, ok := dated(e.Reference); ok {
		c.reports(w, e)
	}
}

// datedCard is a card with a month in its reference.
type datedCard struct {
	reference string
	month     time.Time // its first moment
	renews    bool
}

func dated(reference string) (c datedCard, ok bool) {
	text, renews := strings.CutPrefix(reference, renewsPrefix)
	if !renews {
		if text, ok = strings.CutPrefix(reference, expiresPrefix); !ok {
			return c, false
		}
	}
	month, err := time.Parse("2006-01", text)
	return datedCard{reference, month, renews}, err == nil
}

// at is the card as the bank has it at a time.
func (c datedCard) at(now time.Time) payment.Card {
	month := c.month
	for c.renews && !now.Before(renewal(month)) {
		month = month.AddDate(renewedFor, 0, 0)
	}
	card := payment.Card{Reference: c.reference, Brand: "visa", Last4: cardsNumber, ExpMonth: int(month.Month()), ExpYear: month.Year()}
	for _, t := range TestCards {
		if strings.HasSuffix(t.Reference, "_") && strings.HasPrefix(c.reference, t.Reference) {
			card.Brand, card.Last4 = t.Brand, t.Number[len(t.Number)-4:]
		}
	}
	return card
}

// renewal is when the bank sends the next card, in a card's last month.
func renewal(month time.Time) time.Time { return month.AddDate(0, 0, renewalDay-1) }

// reports adds what happens to the card after a charge: the bank says that it expires, and sends a new one.
func (c datedCard) reports(w *window, e Entry) {
	for month := c.month; month.Before(w.to); month = month.AddDate(renewedFor, 0, 0) {
		named := month.Format("2006-01") + "_" + e.GatewayID
		if month.After(e.At) {
			w.add(month, "expiring_"+named, payment.MethodReport{Change: payment.MethodExpiring, Method: c.at(month), OrderID: e.OrderID})
		}
		if !c.renews {
			return
		}
		if at := renewal(month); at.After(e.At) {
			w.add(at, "renewed_"+named, payment.MethodReport{Change: payment.MethodUpdated, Method: c.at(at), OrderID: e.OrderID})
		}
	}
}

// OrderOf is the order that a charge paid for.
func (g *Gateway) OrderOf(ctx context.Context, chargeID string) (string, error) {
	order, err := call(ctx, g, func() (id.ID, error) {
		a := g.ledger.accounts[chargeID]
		if a == nil {
			return "", payment.ErrNotFound
		}
		return a.charge.OrderID, nil
	})
	return string(order), err
}

// PaymentMethodOf gives a card with a month in its reference as it is now; of the others the gateway knows no more than the reference.
func (g *Gateway) PaymentMethodOf(ctx context.Context, reference string) (payment.Card, error) {
	return call(ctx, g, func() (payment.Card, error) {
		c, ok := dated(reference)
		if !ok {
			return payment.Card{}, payment.ErrNotFound
		}
		return c.at(g.now()), nil
	})
}
