// Package stripe is the payment gateway Stripe: off-session charges of cards that a customer left there, refunds, cards by
// setup intents, and the reports that Stripe sends by itself. Card numbers never come here.
//
// A payment method's reference is "cus_…/pm_…", the customer and the card at Stripe: a charge needs both, and Reference writes
// it. A charge is a payment intent, and its GatewayID is the intent's.
//
// Stripe forgets an idempotency key after a day. So the key is in the header, where the same Charge gives the same answer for a
// day, and in the intent's metadata, where Lookup finds it for ever: in the list of the customer's intents, which is up to date at
// once, or by a search, which may miss the last minutes and which not every account and key may use. Whoever asks Lookup before
// they call Charge again, as the port says, is safe at any time.
package stripe

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	sdk "github.com/stripe/stripe-go/v85"

	"perennial/internal/id"
	"perennial/internal/payment"
)

// Config is how to reach Stripe.
type Config struct {
	SecretKey     string       // sk_…, or a restricted key rk_…
	WebhookSecret string       // whsec_…; Parse refuses everything without one
	Publishable   string       // pk_…, for Stripe's own script on the page of a card; empty: no page can ask for one
	BaseURL       string       // empty for Stripe itself
	HTTPClient    *http.Client // nil for one of our own, with a time-out
}

const (
	timeout     = 30 * time.Second
	connections = 64 // as many as the engine has calls under way
)

// Names in the metadata of what we make at Stripe.
const (
	metaKey      = "perennial_key" // the idempotency key
	metaOrder    = "perennial_order"
	metaCustomer = "perennial_customer"
)

// Gateway is Stripe. It is safe for concurrent use.
type Gateway struct {
	api           *sdk.Client
	webhookSecret string
	publishable   string
	key           string // tells the mode
}

var (
	_ payment.Gateway = (*Gateway)(nil)
	_ payment.Eraser  = (*Gateway)(nil)
)

// New makes a gateway. It calls nobody yet.
func New(c Config) (*Gateway, error) {
	if c.SecretKey == "" || strings.TrimSpace(c.SecretKey) != c.SecretKey {
		return nil, errors.New("stripe: the secret key is missing or has spaces around it")
	}
	client := c.HTTPClient
	if client == nil {
		transport := http.DefaultTransport.(*http.Transport).Clone()
		transport.MaxIdleConnsPerHost = connections
		client = &http.Client{Transport: transport, Timeout: timeout}
	}
	b := &sdk.BackendConfig{
		HTTPClient:        client,
		EnableTelemetry:   new(false),
		LeveledLogger:     &sdk.LeveledLogger{Level: sdk.LevelNull}, // the caller logs
		MaxNetworkRetries: sdk.Int64(0),                             // the library waits without looking at the context
	}
	if c.BaseURL != "" {
		b.URL = &c.BaseURL
	}
	return &Gateway{
		key:           c.SecretKey,
		api:           sdk.NewClient(c.SecretKey, sdk.WithBackends(sdk.NewBackendsWithConfig(b))),
		webhookSecret: c.WebhookSecret,
		publishable:   c.Publishable,
	}, nil
}

// Live says whether the gateway moves real money, by its key.
func (g *Gateway) Live() bool {
	m := modes.FindStringSubmatch(g.key)
	return m == nil || m[1] != payment.TestMode
}

// Reference is a card of a customer as [payment.ChargeRequest] names it.
func Reference(customerID, methodID string) string { return customerID + "/" + methodID }

// splitReference reads what Reference wrote.
func splitReference(reference string) (customerID, methodID string, ok bool) {
	customerID, methodID, ok = strings.Cut(reference, "/")
	return customerID, methodID, ok && strings.HasPrefix(customerID, "cus_") && objectID(customerID) && objectID(methodID)
}

// objectID says whether a text can be the id of something at Stripe.
func objectID(s string) bool {
	return s != "" && len(s) <= 255 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == ""
}

// token is an idempotency key as it goes into a header and into a search: itself, or its hash if it has other characters than
// our ids.
func token(key string) string {
	if objectID(key) {
		return key
	}
	h := sha256.Sum256([]byte(key))
	return "sha256_" + hex.EncodeToString(h[:])
}

// Charge implements [payment.Gateway].
func (g *Gateway) Charge(ctx context.Context, r payment.ChargeRequest) (payment.ChargeResult, error) {
	if err := r.Check(); err != nil {
		return payment.ChargeResult{}, err
	}
	amount, err := toStripe(r.Amount)
	if err != nil {
		return payment.ChargeResult{}, err
	}
	if r.Amount.Minor < Least(r.Amount.Currency) {
		return tooSmall(), nil
	}
	customer, method, ok := splitReference(r.Reference)
	if !ok {
		return unknownMethod("Stripe does not know this payment method."), nil
	}
	p := &sdk.PaymentIntentCreateParams{
		Amount:             &amount,
		Currency:           sdk.String(strings.ToLower(r.Amount.Currency)),
		Customer:           &customer,
		PaymentMethod:      &method,
		PaymentMethodTypes: []*string{sdk.String(string(sdk.PaymentMethodTypeCard))},
		Confirm:            new(true),
		OffSession:         new(true),
	}
	if r.Description != "" {
		p.Description = &r.Description
	}
	p.AddMetadata(metaKey, token(r.IdempotencyKey))
	p.AddMetadata(metaOrder, string(r.OrderID))
	p.SetIdempotencyKey(token(r.IdempotencyKey))
	intent, err := g.api.V1PaymentIntents.Create(ctx, p)
	if err == nil {
		return decided(intent)
	}
	if keyReused(err) {
		return g.first(ctx, r, amount, customer, method)
	}
	if o, ok := ours(err); ok {
		return payment.ChargeResult{}, o
	}
	e, certain := refused(err)
	switch {
	case !certain:
		return payment.ChargeResult{}, plain(err)
	case e.Type == sdk.ErrorTypeCard && e.PaymentIntent != nil:
		e.PaymentIntent.LastPaymentError = e
		return decided(e.PaymentIntent)
	case e.Type == sdk.ErrorTypeCard:
		return declined("", e), nil
	case e.Code == sdk.ErrorCodeAmountTooSmall:
		return tooSmall(), nil
	case e.Code == sdk.ErrorCodeAmountTooLarge:
		return payment.ChargeResult{}, &payment.Ours{Code: payment.CodeAmountTooLarge, Err: plain(err)}
	case e.Param == "payment_method" || e.Param == "customer":
		return g.missing(ctx, customer, e)
	}
	// What is wrong is ours, or how the account is set up: nothing is said of the card.
	return payment.ChargeResult{}, &payment.Ours{Code: cmp.Or(string(e.Code), payment.CodeRequestInvalid), Err: plain(err)}
}

// missing is what a charge comes to whose card or customer Stripe does not have. A customer that was deleted there can still be
// retrieved; one that cannot was never one of this account, or of this mode: then every card of the shop would seem to be gone.
func (g *Gateway) missing(ctx context.Context, customer string, e *sdk.Error) (payment.ChargeResult, error) {
	_, err := g.api.V1Customers.Retrieve(ctx, customer, nil)
	switch {
	case err == nil:
		return unknownMethod(e.Msg), nil
	case errors.Is(plain(err), payment.ErrNotFound):
		return payment.ChargeResult{}, &payment.Ours{Code: payment.CodeAccountOther, Err: plain(e)}
	}
	return payment.ChargeResult{}, plain(err) // asked again
}

func tooSmall() payment.ChargeResult {
	return payment.ChargeResult{
		Status:  payment.Declined,
		Code:    payment.CodeAmountTooSmall,
		Message: "Stripe does not charge so small an amount.",
	}
}

func unknownMethod(message string) payment.ChargeResult {
	return payment.ChargeResult{Status: payment.Declined, Code: payment.CodeMethodUnknown, Message: message, Hard: true}
}

// first gives what the first request with a key came to, if it asked for the same money: Stripe binds a key to the description
// too, which we do not. A list is up to date at once, where a search is not.
func (g *Gateway) first(ctx context.Context, r payment.ChargeRequest, amount int64, customer, method string) (payment.ChargeResult, error) {
	of := &sdk.PaymentIntentListParams{Customer: &customer, ListParams: sdk.ListParams{Limit: sdk.Int64(100)}}
	for intent, err := range g.api.V1PaymentIntents.List(ctx, of).All(ctx) {
		if err != nil {
			return payment.ChargeResult{}, plain(err)
		}
		if intent.Metadata[metaKey] != token(r.IdempotencyKey) {
			continue
		}
		used := usedMethod(intent)
		if intent.Amount != amount || !strings.EqualFold(string(intent.Currency), r.Amount.Currency) ||
			intent.Metadata[metaOrder] != string(r.OrderID) ||
			used != "" && used != method {
			break
		}
		return decided(intent)
	}
	return payment.ChargeResult{}, payment.ErrKeyReused
}

// usedMethod is the card that a payment was tried with; a decline takes it off the intent.
func usedMethod(intent *sdk.PaymentIntent) string {
	switch {
	case intent.PaymentMethod != nil:
		return intent.PaymentMethod.ID
	case intent.LastPaymentError != nil && intent.LastPaymentError.PaymentMethod != nil:
		return intent.LastPaymentError.PaymentMethod.ID
	}
	return ""
}

// Lookup implements [payment.Gateway].
func (g *Gateway) Lookup(ctx context.Context, q payment.Query) (payment.Charge, bool, error) {
	if q.ChargeID != "" {
		c, err := g.Retrieve(ctx, q.ChargeID)
		switch {
		case err == nil && c.Key == token(q.Key):
			return c, true, nil
		case err != nil && !errors.Is(err, payment.ErrNotFound):
			return payment.Charge{}, false, err
		}
	}
	customer, _, listed := splitReference(q.Reference)
	if listed {
		c, found, err := g.listed(ctx, q, &customer)
		if found || err != nil && !errors.Is(err, payment.ErrNotFound) { // the customer may be of another account
			return c, found, err
		}
	}
	c, found, err := g.searched(ctx, q)
	if e, ok := errors.AsType[*sdk.Error](err); ok && noSearch(e) {
		if listed { // and that was complete
			return payment.Charge{}, false, nil
		}
		return g.listed(ctx, q, nil)
	}
	if err != nil {
		return payment.Charge{}, false, asked(err)
	}
	return c, found, nil
}

// noSearch says that an account or a key may not search, as those of India and restricted keys. (docs.stripe.com/search)
func noSearch(e *sdk.Error) bool {
	return e.HTTPStatusCode == http.StatusForbidden || e.HTTPStatusCode == http.StatusBadRequest || e.HTTPStatusCode == http.StatusNotFound
}

// listed looks through the payment intents of a customer, or of the account, from a while before a query's time on.
func (g *Gateway) listed(ctx context.Context, q payment.Query, customer *string) (payment.Charge, bool, error) {
	p := &sdk.PaymentIntentListParams{Customer: customer, ListParams: sdk.ListParams{Limit: sdk.Int64(100)}}
	if !q.Since.IsZero() {
		p.CreatedRange = &sdk.RangeQueryParams{GreaterThanOrEqual: q.Since.Add(-time.Hour).Unix()} // our clock and theirs may differ
	}
	var found hit
	for intent, err := range g.api.V1PaymentIntents.List(ctx, p).All(ctx) {
		if err != nil {
			return payment.Charge{}, false, asked(err)
		}
		if intent.Metadata[metaKey] != token(q.Key) {
			continue
		}
		if err := found.add(intent); err != nil {
			return payment.Charge{}, false, err
		}
	}
	return found.Charge, found.ok, nil
}

// searched finds the payment intents with a key by Stripe's search. Its errors are Stripe's own.
func (g *Gateway) searched(ctx context.Context, q payment.Query) (payment.Charge, bool, error) {
	p := &sdk.PaymentIntentSearchParams{SearchParams: sdk.SearchParams{Query: "metadata['" + metaKey + "']:'" + token(q.Key) + "'"}}
	var found hit
	for hit, err := range g.api.V1PaymentIntents.Search(ctx, p).All(ctx) {
		if err != nil {
			return payment.Charge{}, false, err
		}
		// What the search knows of the payment may be old.
		intent, err := g.api.V1PaymentIntents.Retrieve(ctx, hit.ID, nil)
		if err != nil {
			return payment.Charge{}, false, plain(err)
		}
		if err := found.add(intent); err != nil {
			return payment.Charge{}, false, err
		}
	}
	return found.Charge, found.ok, nil
}

// hit is the best of several payment intents with one key: the one that took money.
type hit struct {
	payment.Charge
	ok bool
}

func (h *hit) add(intent *sdk.PaymentIntent) error {
	c, known, err := chargeOf(intent)
	switch {
	case err != nil:
		return err
	case !known && begun(intent):
		return fmt.Errorf("%w: %s is %s", payment.ErrUndecided, intent.ID, intent.Status)
	case known && (!h.ok || c.Status == payment.Succeeded):
		h.Charge, h.ok = c, true
	}
	return nil
}

// chargeOf reads a payment intent. It is not known while it has no outcome.
func chargeOf(intent *sdk.PaymentIntent) (c payment.Charge, known bool, err error) {
	result, known := outcome(intent)
	c = payment.Charge{
		ChargeResult: result,
		Key:          intent.Metadata[metaKey],
		OrderID:      id.ID(intent.Metadata[metaOrder]),
		At:           time.Unix(intent.Created, 0).UTC(),
	}
	asked := intent.Amount
	if result.Status == payment.Succeeded && intent.AmountReceived > 0 {
		asked = intent.AmountReceived
	}
	c.Amount, err = fromStripe(asked, string(intent.Currency))
	return c, known, err
}

// Retrieve gives the charge of an id as it is now: [payment.ErrNotFound] for one that is not there, ErrUndecided without an outcome.
func (g *Gateway) Retrieve(ctx context.Context, chargeID string) (payment.Charge, error) {
	if !objectID(chargeID) {
		return payment.Charge{}, payment.ErrNotFound
	}
	intent, err := g.api.V1PaymentIntents.Retrieve(ctx, chargeID, nil)
	if err != nil {
		return payment.Charge{}, asked(err)
	}
	c, known, err := chargeOf(intent)
	if err == nil && !known {
		err = fmt.Errorf("%w: %s is %s", payment.ErrUndecided, intent.ID, intent.Status)
	}
	if err != nil {
		return payment.Charge{}, err
	}
	return c, nil
}

// Cancel implements [payment.Gateway].
func (g *Gateway) Cancel(ctx context.Context, chargeID string) (payment.ChargeResult, error) {
	if !objectID(chargeID) {
		return payment.GivenUp(chargeID), nil
	}
	intent, err := g.api.V1PaymentIntents.Cancel(ctx, chargeID,
		&sdk.PaymentIntentCancelParams{CancellationReason: sdk.String(string(sdk.PaymentIntentCancellationReasonAbandoned))})
	if e, ok := errors.AsType[*sdk.Error](err); ok && e.Code == sdk.ErrorCodePaymentIntentUnexpectedState { // it has ended, or is under way
		intent, err = g.api.V1PaymentIntents.Retrieve(ctx, chargeID, nil)
	}
	switch err := asked(err); {
	case errors.Is(err, payment.ErrNotFound):
		return payment.GivenUp(chargeID), nil
	case err != nil:
		return payment.ChargeResult{}, err
	}
	result, err := decided(intent)
	if err == nil && result.Status == payment.ActionRequired {
		return payment.ChargeResult{}, fmt.Errorf("%w: %s could not be cancelled", payment.ErrUndecided, intent.ID)
	}
	return result, err
}

// decided is the outcome of a payment that has one.
func decided(intent *sdk.PaymentIntent) (payment.ChargeResult, error) {
	result, known := outcome(intent)
	if !known {
		return payment.ChargeResult{}, fmt.Errorf("%w: %s is %s", payment.ErrUndecided, intent.ID, intent.Status)
	}
	return result, nil
}

// begun says whether a payment without an outcome may still come to one by itself.
func begun(intent *sdk.PaymentIntent) bool {
	return intent.Status != sdk.PaymentIntentStatusRequiresPaymentMethod && intent.Status != sdk.PaymentIntentStatusRequiresConfirmation
}

// outcome reads a payment intent. It is not known while Stripe works on it, or if it was never tried.
func outcome(intent *sdk.PaymentIntent) (result payment.ChargeResult, known bool) {
	action := payment.ChargeResult{GatewayID: intent.ID, Status: payment.ActionRequired, Code: payment.CodeAuthenticationRequired,
		Message: "The bank wants the customer to confirm the payment."}
	switch intent.Status {
	case sdk.PaymentIntentStatusSucceeded:
		return payment.ChargeResult{GatewayID: intent.ID, Status: payment.Succeeded}, true
	case sdk.PaymentIntentStatusRequiresAction:
		return action, true
	case sdk.PaymentIntentStatusCanceled:
		return payment.GivenUp(intent.ID), true
	case sdk.PaymentIntentStatusRequiresPaymentMethod:
		e := intent.LastPaymentError
		if e == nil || e.Type == "" {
			return payment.ChargeResult{}, false
		}
		// Off session the intent does not wait in requires_action: the customer confirms it on a page with its secret.
		if wantsCustomer(e) {
			return action, true
		}
		return declined(intent.ID, e), true
	}
	return payment.ChargeResult{}, false
}
