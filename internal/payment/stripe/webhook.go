package stripe

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	sdk "github.com/stripe/stripe-go/v85"
	"github.com/stripe/stripe-go/v85/webhook"

	"perennial/internal/payment"
)

// The errors of Parse, beside [payment.ErrReport].
var (
	ErrSignature = errors.New("stripe: the report is not signed by Stripe")
	ErrTooOld    = errors.New("stripe: the report was signed too long ago, or ahead of our clock")
)

// tolerance is how far the time of a signature may be from ours, so that nobody sends an old report again.
const tolerance = 5 * time.Minute

// Parse checks the signature of a request of Stripe's (its body and its header Stripe-Signature) and reads it. A type that we take
// no note of is no error, and neither is a payment that is not ours.
func (g *Gateway) Parse(body []byte, header string, now time.Time) (payment.Event, error) {
	if g.webhookSecret == "" {
		return payment.Event{}, ErrSignature
	}
	// The library would look at the clock of the machine.
	if err := webhook.ValidatePayloadIgnoringTolerance(body, header, g.webhookSecret); err != nil {
		return payment.Event{}, fmt.Errorf("%w: %w", ErrSignature, err)
	}
	if off := now.Sub(signedAt(header)).Abs(); off > tolerance {
		return payment.Event{}, ErrTooOld
	}
	var e sdk.Event
	if err := json.Unmarshal(body, &e); err != nil {
		return payment.Event{}, fmt.Errorf("%w: %w", payment.ErrReport, err)
	}
	if e.ID == "" || e.Type == "" || e.Data == nil {
		return payment.Event{}, fmt.Errorf("%w: it has no id, type or object", payment.ErrReport)
	}
	report, err := read(&e)
	if err != nil {
		return payment.Event{}, fmt.Errorf("%w: %s: %w", payment.ErrReport, e.Type, err)
	}
	return payment.Event{ID: e.ID, At: time.Unix(e.Created, 0).UTC(), Live: e.Livemode, Report: report}, nil
}

// signedAt is the time in a header that was checked: its last t, as the check read it.
func signedAt(header string) time.Time {
	var at int64
	for part := range strings.SplitSeq(header, ",") {
		if t, ok := strings.CutPrefix(part, "t="); ok {
			at, _ = strconv.ParseInt(t, 10, 64) // the check read it too
		}
	}
	return time.Unix(at, 0)
}

// read gives the report of an event, or nothing.
func read(e *sdk.Event) (payment.Report, error) {
	switch e.Type {
	case sdk.EventTypePaymentIntentSucceeded, sdk.EventTypePaymentIntentPaymentFailed, sdk.EventTypePaymentIntentRequiresAction, sdk.EventTypePaymentIntentCanceled:
		return readPayment(e.Data.Raw)
	case sdk.EventTypeRefundCreated, sdk.EventTypeRefundUpdated, sdk.EventTypeRefundFailed: // and not charge.refund.updated, which tells the same once more
		return readRefund(e.Data.Raw)
	case sdk.EventTypeChargeDisputeCreated:
		return readDispute(e.Data.Raw, false)
	case sdk.EventTypeChargeDisputeClosed:
		return readDispute(e.Data.Raw, true)
	case sdk.EventTypePaymentMethodUpdated, sdk.EventTypePaymentMethodAutomaticallyUpdated:
		return readMethod(e.Data.Raw, payment.MethodUpdated, "")
	case sdk.EventTypePaymentMethodDetached:
		customer, _ := e.Data.PreviousAttributes["customer"].(string)
		return readMethod(e.Data.Raw, payment.MethodDetached, customer)
	case sdk.EventTypeCustomerSourceExpiring:
		return readExpiring(e.Data.Raw)
	}
	return nil, nil
}

func readPayment(raw []byte) (payment.Report, error) {
	var intent sdk.PaymentIntent
	if err := json.Unmarshal(raw, &intent); err != nil {
		return nil, err
	}
	key := intent.Metadata[metaKey]
	result, known := outcome(&intent)
	if key == "" || !known {
		return nil, nil
	}
	amount, err := fromStripe(intent.Amount, string(intent.Currency))
	if err != nil {
		return nil, err
	}
	return payment.PaymentReport{Key: key, OrderID: intent.Metadata[metaOrder], Amount: amount, Result: result}, nil
}

func readRefund(raw []byte) (payment.Report, error) {
	var refund sdk.Refund
	if err := json.Unmarshal(raw, &refund); err != nil {
		return nil, err
	}
	if refund.PaymentIntent == nil { // of a charge that was made without an intent: not by us
		return nil, nil
	}
	amount, err := fromStripe(refund.Amount, string(refund.Currency))
	if err != nil {
		return nil, err
	}
	result, err := refunded(&refund)
	if err != nil {
		return nil, err
	}
	return payment.RefundReport{Key: refund.Metadata[metaKey], ChargeID: refund.PaymentIntent.ID, Amount: amount, RefundID: refund.ID, Result: result,
		Pending: refund.Status == sdk.RefundStatusPending || refund.Status == sdk.RefundStatusRequiresAction}, nil
}

func readDispute(raw []byte, closed bool) (payment.Report, error) {
	var d sdk.Dispute
	if err := json.Unmarshal(raw, &d); err != nil {
		return nil, err
	}
	if d.PaymentIntent == nil {
		return nil, nil
	}
	amount, err := fromStripe(d.Amount, string(d.Currency))
	if err != nil {
		return nil, err
	}
	r := payment.DisputeReport{DisputeID: d.ID, ChargeID: d.PaymentIntent.ID, Amount: amount, Reason: string(d.Reason)}
	switch d.Status {
	case sdk.DisputeStatusWon, sdk.DisputeStatusWarningClosed: // an inquiry that came to nothing took no money
		r.Closed, r.Won = closed, closed
	case sdk.DisputeStatusLost, sdk.DisputeStatusPrevented: // by giving the money back
		r.Closed = closed
	}
	return r, nil
}

// readMethod reads a payment method. One that was detached has no customer any more: the event says who had it.
func readMethod(raw []byte, change payment.MethodChange, customer string) (payment.Report, error) {
	var pm sdk.PaymentMethod
	if err := json.Unmarshal(raw, &pm); err != nil {
		return nil, err
	}
	if customer != "" {
		pm.Customer = &sdk.Customer{ID: customer}
	}
	if pm.Card == nil || pm.Customer == nil {
		return nil, nil
	}
	m, err := methodOf(&pm)
	if err != nil {
		return nil, err
	}
	return payment.MethodReport{Change: change, Method: m}, nil
}

func readExpiring(raw []byte) (payment.Report, error) {
	var card sdk.Card
	if err := json.Unmarshal(raw, &card); err != nil {
		return nil, err
	}
	if card.Customer == nil || card.ID == "" {
		return nil, nil
	}
	return payment.MethodReport{Change: payment.MethodExpiring, Method: Method{Reference: Reference(card.Customer.ID, card.ID), Brand: strings.ToLower(string(card.Brand)), Last4: card.Last4,
		ExpMonth: int(card.ExpMonth), ExpYear: int(card.ExpYear)}}, nil
}
