// Package stripe is the payment gateway Stripe: off-session charges of cards that a customer left there, refunds, cards by
// setup intents, and the reports that Stripe sends by itself. Card numbers never come here.
//
// A payment method's reference is "cus_…/pm_…", the customer and the card at Stripe: a charge needs both, and Reference writes
// it. A charge is a payment intent, and its GatewayID is the intent's.
//
// Stripe forgets an idempotency key after a day, and its search may miss a charge of the last minutes. So the key is in the
// header, where the same Charge gives the same answer for a day, and in the intent's metadata, where Lookup finds it from
// some minutes on for ever. Whoever asks Lookup before they call Charge again, as the port says, is safe at any time.
package stripe

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	sdk "github.com/stripe/stripe-go/v85"

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
}

var _ payment.Gateway = (*Gateway)(nil)

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
	return &Gateway{api: sdk.NewClient(c.SecretKey, sdk.WithBackends(sdk.NewBackendsWithConfig(b))), webhookSecret: c.WebhookSecret, publishable: c.Publishable}, nil
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
	e, certain := refused(err)
	switch {
	case !certain:
		return payment.ChargeResult{}, plain(err)
	case e.Type == sdk.ErrorTypeCard && e.PaymentIntent != nil:
		e.PaymentIntent.LastPaymentError = e
		return decided(e.PaymentIntent)
	case e.Type == sdk.ErrorTypeCard:
		return declined("", e), nil
	case e.Param == "payment_method" || e.Param == "customer":
		return unknownMethod(e.Msg), nil
	}
	// What is wrong is ours, or how the account is set up: nothing is said of the card.
	return payment.ChargeResult{}, fmt.Errorf("%w: %w", payment.ErrInvalid, plain(err))
}

func unknownMethod(message string) payment.ChargeResult {
	return payment.ChargeResult{Status: payment.Declined, Code: payment.CodeMethodUnknown, Message: message, Hard: true}
}

// first gives what the first request with a key came to, if it asked for the same money: Stripe binds a key to the description
// too, which we do not. A list is up to date at once, where a search is not.
func (g *Gateway) first(ctx context.Context, r payment.ChargeRequest, amount int64, customer, method string) (payment.ChargeResult, error) {
	for intent, err := range g.api.V1PaymentIntents.List(ctx, &sdk.PaymentIntentListParams{Customer: &customer, ListParams: sdk.ListParams{Limit: sdk.Int64(100)}}).All(ctx) {
		if err != nil {
			return payment.ChargeResult{}, plain(err)
		}
		if intent.Metadata[metaKey] != token(r.IdempotencyKey) {
			continue
		}
		used := usedMethod(intent)
		if intent.Amount != amount || !strings.EqualFold(string(intent.Currency), r.Amount.Currency) || intent.Metadata[metaOrder] != string(r.OrderID) || used != "" && used != method {
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
func (g *Gateway) Lookup(ctx context.Context, idempotencyKey string) (payment.ChargeResult, bool, error) {
	var last payment.ChargeResult
	found := false
	p := &sdk.PaymentIntentSearchParams{SearchParams: sdk.SearchParams{Query: "metadata['" + metaKey + "']:'" + token(idempotencyKey) + "'"}}
	for hit, err := range g.api.V1PaymentIntents.Search(ctx, p).All(ctx) {
		if err != nil {
			return payment.ChargeResult{}, false, plain(err)
		}
		// What the search knows of the payment may be old.
		intent, err := g.api.V1PaymentIntents.Retrieve(ctx, hit.ID, nil)
		if err != nil {
			return payment.ChargeResult{}, false, plain(err)
		}
		result, known := outcome(intent)
		switch {
		case !known && begun(intent):
			return payment.ChargeResult{}, false, fmt.Errorf("%w: %s is %s", errUndecided, intent.ID, intent.Status)
		case known && (!found || result.Status == payment.Succeeded):
			last, found = result, true
		}
	}
	return last, found, nil
}

// Cancel implements [payment.Gateway].
func (g *Gateway) Cancel(ctx context.Context, chargeID string) (payment.ChargeResult, error) {
	if !objectID(chargeID) {
		return payment.GivenUp(chargeID), nil
	}
	intent, err := g.api.V1PaymentIntents.Cancel(ctx, chargeID, &sdk.PaymentIntentCancelParams{CancellationReason: sdk.String(string(sdk.PaymentIntentCancellationReasonAbandoned))})
	if e, ok := errors.AsType[*sdk.Error](err); ok && e.Code == sdk.ErrorCodePaymentIntentUnexpectedState { // it has ended, or is under way
		intent, err = g.api.V1PaymentIntents.Retrieve(ctx, chargeID, nil)
	}
	switch err := plain(err); {
	case errors.Is(err, payment.ErrNotFound):
		return payment.GivenUp(chargeID), nil
	case err != nil:
		return payment.ChargeResult{}, err
	}
	result, err := decided(intent)
	if err == nil && result.Status == payment.ActionRequired {
		return payment.ChargeResult{}, fmt.Errorf("%w: %s could not be cancelled", errUndecided, intent.ID)
	}
	return result, err
}

// decided is the outcome of a payment that has one.
func decided(intent *sdk.PaymentIntent) (payment.ChargeResult, error) {
	result, known := outcome(intent)
	if !known {
		return payment.ChargeResult{}, fmt.Errorf("%w: %s is %s", errUndecided, intent.ID, intent.Status)
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
