package stripe

import (
	"context"
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
	return payment.Event{ID: e.ID, At: time.Unix(e.Created, 0).UTC(), Live: e.Livemode, Odd: oddVersion(e.APIVersion), Report: report}, nil
}

// The versions of Stripe's API whose reports have what is read here where it is read: the first with payment intents as they are, and
// the newest whose types were looked at. (docs.stripe.com/changelog)
const (
	oldestVersion = "2019-02-11"
	newestVersion = "2026-10-28"
)

// oddVersion gives a version that was not looked at. An endpoint has one of its own, by default the account's; the library's is that of
// the calls.
func oddVersion(version string) string {
	day, _, _ := strings.Cut(version, ".")
	if _, err := time.Parse(time.DateOnly, day); err == nil && oldestVersion <= day && day <= newestVersion || version == "" {
		return ""
	}
	return fmt.Sprintf("%.40q", version)
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
	case sdk.EventTypePaymentIntentSucceeded,
		sdk.EventTypePaymentIntentPaymentFailed,
		sdk.EventTypePaymentIntentRequiresAction,
		sdk.EventTypePaymentIntentCanceled:
		return readPayment(e.Data.Raw)
	case sdk.EventTypeRefundCreated,
		sdk.EventTypeRefundUpdated,
		sdk.EventTypeRefundFailed: // and not charge.refund.updated, which tells the same once more
		return readRefund(e.Data.Raw)
	case sdk.EventTypeChargeDisputeCreated,
		sdk.EventTypeChargeDisputeUpdated,
		sdk.EventTypeChargeDisputeClosed,
		sdk.EventTypeChargeDisputeFundsReinstated:
		return readDispute(e.Data.Raw)
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
	return payment.RefundReport{
		Key:      refund.Metadata[metaKey],
		ChargeID: refund.PaymentIntent.ID,
		Amount:   amount,
		RefundID: refund.ID,
		Result:   result,
		Pending:  refund.Status == sdk.RefundStatusPending || refund.Status == sdk.RefundStatusRequiresAction,
	}, nil
}

func readDispute(raw []byte) (payment.Report, error) {
	var d sdk.Dispute
	if err := json.Unmarshal(raw, &d); err != nil {
		return nil, err
	}
	if d.PaymentIntent == nil {
		return nil, nil
	}
	return disputeOf(&d)
}

// The statuses of a dispute that was lost and is appealed, which this library does not name. (Stripe's changelog, 2026-10-28.endive)
const (
	appealNeedsResponse sdk.DisputeStatus = "appeal_needs_response"
	appealUnderReview   sdk.DisputeStatus = "appeal_under_review"
)

// disputeOf reads a dispute. While a lost one is appealed the money is gone: it stays lost until it is won.
func disputeOf(d *sdk.Dispute) (payment.DisputeReport, error) {
	amount, err := fromStripe(d.Amount, string(d.Currency))
	if err != nil {
		return payment.DisputeReport{}, err
	}
	r := payment.DisputeReport{DisputeID: d.ID, ChargeID: d.PaymentIntent.ID, Amount: amount, Reason: string(d.Reason)}
	switch d.Status {
	case sdk.DisputeStatusWarningNeedsResponse, sdk.DisputeStatusWarningUnderReview:
		r.Inquiry = true
	case sdk.DisputeStatusWon, sdk.DisputeStatusWarningClosed: // an inquiry that came to nothing took no money
		r.Closed, r.Won = true, true
	case sdk.DisputeStatusLost, sdk.DisputeStatusPrevented, appealNeedsResponse, appealUnderReview: // prevented by giving the money back
		r.Closed = true
	}
	return r, nil
}

// DisputeOf gives a dispute as it is now: [payment.ErrNotFound] for one that is not there, or that is of no payment intent.
func (g *Gateway) DisputeOf(ctx context.Context, dispute string) (payment.DisputeReport, error) {
	if !objectID(dispute) {
		return payment.DisputeReport{}, payment.ErrNotFound
	}
	d, err := g.api.V1Disputes.Retrieve(ctx, dispute, nil)
	switch {
	case err != nil:
		return payment.DisputeReport{}, asked(err)
	case d.PaymentIntent == nil:
		return payment.DisputeReport{}, payment.ErrNotFound
	}
	return disputeOf(d)
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
	return payment.MethodReport{
		Change: payment.MethodExpiring,
		Method: Method{Reference: Reference(card.Customer.ID, card.ID), Brand: strings.ToLower(string(card.Brand)), Last4: card.Last4,
			ExpMonth: int(card.ExpMonth), ExpYear: int(card.ExpYear)},
	}, nil
}
