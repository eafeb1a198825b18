package stripe

import (
	"context"
	"errors"
	"fmt"

	sdk "github.com/stripe/stripe-go/v85"

	"perennial/internal/id"
	"perennial/internal/payment"
)

// ErrNotFinished says that a customer has not finished to add a card.
var ErrNotFinished = errors.New("stripe: the card is not added yet")

// NewCustomer is what Stripe is told of a customer.
type NewCustomer struct {
	IdempotencyKey string
	CustomerID     id.ID // ours
	Name, Email    string
}

// CreateCustomer makes a customer at Stripe and gives its id there.
func (g *Gateway) CreateCustomer(ctx context.Context, c NewCustomer) (string, error) {
	p := &sdk.CustomerCreateParams{}
	if c.Name != "" {
		p.Name = &c.Name
	}
	if c.Email != "" {
		p.Email = &c.Email
	}
	p.AddMetadata(metaCustomer, string(c.CustomerID))
	p.SetIdempotencyKey(token(c.IdempotencyKey))
	made, err := g.api.V1Customers.Create(ctx, p)
	if err != nil {
		return "", plain(err)
	}
	return made.ID, nil
}

// SetupIntent is a card that is being added. The page of the customer gives the secret to Stripe's own script, which asks for the
// number and, where the bank wants it, for a confirmation.
type SetupIntent struct {
	ID           string
	ClientSecret string
}

// CreateSetupIntent begins to add a card to a customer of Stripe, to be charged later without them.
func (g *Gateway) CreateSetupIntent(ctx context.Context, customerID string) (SetupIntent, error) {
	made, err := g.api.V1SetupIntents.Create(ctx, &sdk.SetupIntentCreateParams{
		Customer:           &customerID,
		PaymentMethodTypes: []*string{sdk.String(string(sdk.PaymentMethodTypeCard))},
		Usage:              sdk.String(string(sdk.SetupIntentUsageOffSession)),
	})
	if err != nil {
		return SetupIntent{}, asked(err)
	}
	return SetupIntent{ID: made.ID, ClientSecret: made.ClientSecret}, nil
}

// Method is a card as Stripe shows it. Its reference is empty if no customer has the card.
type Method = payment.Card

// FinishSetup gives the card that a setup intent added to a customer. What a browser says of it is not to be believed: the
// intent has to be that customer's. It is ErrNotFinished until Stripe says that the card may be charged.
func (g *Gateway) FinishSetup(ctx context.Context, customerID, setupIntentID string) (Method, error) {
	if !objectID(setupIntentID) {
		return Method{}, payment.ErrNotFound
	}
	p := &sdk.SetupIntentRetrieveParams{}
	p.AddExpand("payment_method")
	intent, err := g.api.V1SetupIntents.Retrieve(ctx, setupIntentID, p)
	switch {
	case err != nil:
		return Method{}, plain(err)
	case intent.Customer == nil || intent.Customer.ID != customerID:
		return Method{}, payment.ErrNotFound
	case intent.Status != sdk.SetupIntentStatusSucceeded || intent.PaymentMethod == nil:
		return Method{}, ErrNotFinished
	}
	m, err := methodOf(intent.PaymentMethod)
	m.Reference = Reference(customerID, intent.PaymentMethod.ID)
	return m, err
}

// PaymentMethodOf gives a card as it is now. It is [payment.ErrNotFound] if the customer of the reference does not have it (any more).
func (g *Gateway) PaymentMethodOf(ctx context.Context, reference string) (Method, error) {
	_, method, ok := splitReference(reference)
	if !ok {
		return Method{}, payment.ErrNotFound
	}
	pm, err := g.api.V1PaymentMethods.Retrieve(ctx, method, nil)
	if err != nil {
		return Method{}, plain(err)
	}
	m, err := methodOf(pm)
	if err == nil && m.Reference != reference {
		return Method{}, payment.ErrNotFound
	}
	return m, err
}

func methodOf(pm *sdk.PaymentMethod) (Method, error) {
	if pm.Card == nil {
		return Method{}, fmt.Errorf("stripe: the payment method %s is no card but %s", pm.ID, pm.Type)
	}
	m := Method{Brand: string(pm.Card.Brand), Last4: pm.Card.Last4, ExpMonth: int(pm.Card.ExpMonth), ExpYear: int(pm.Card.ExpYear)}
	if pm.Customer != nil {
		m.Reference = Reference(pm.Customer.ID, pm.ID)
	}
	return m, nil
}

// Confirmation is how a customer confirms a payment that is [payment.ActionRequired].
type Confirmation struct {
	ClientSecret string // for Stripe's own script on a page of ours
	MethodID     string // the card to confirm it with, for the same script
	URL          string // a page of the bank's, where it gave one
}

// Confirm gives what a customer needs to confirm a charge.
func (g *Gateway) Confirm(ctx context.Context, chargeID string) (Confirmation, error) {
	if !objectID(chargeID) {
		return Confirmation{}, payment.ErrNotFound
	}
	intent, err := g.api.V1PaymentIntents.Retrieve(ctx, chargeID, nil)
	if err != nil {
		return Confirmation{}, plain(err)
	}
	c := Confirmation{ClientSecret: intent.ClientSecret, MethodID: usedMethod(intent)}
	if a := intent.NextAction; a != nil && a.RedirectToURL != nil {
		c.URL = a.RedirectToURL.URL
	}
	return c, nil
}

// Publishable is the key for Stripe's own script on a page; empty: no card can be asked for.
func (g *Gateway) Publishable() string { return g.publishable }

// CustomerIn is the customer at Stripe of a reference, empty for one that is not Stripe's.
func CustomerIn(reference string) string {
	customer, _, ok := splitReference(reference)
	if !ok {
		return ""
	}
	return customer
}

// CustomerOf is our customer who has a card, by its reference; empty for a customer at Stripe that is not ours.
func (g *Gateway) CustomerOf(ctx context.Context, reference string) (id.ID, error) {
	customer, _, ok := splitReference(reference)
	if !ok {
		return "", payment.ErrNotFound
	}
	c, err := g.api.V1Customers.Retrieve(ctx, customer, nil)
	if err != nil {
		return "", plain(err)
	}
	return id.ID(c.Metadata[metaCustomer]), nil
}

// Name is what the program calls the gateway.
func (g *Gateway) Name() string { return "stripe" }

// OrderOf is the order that a charge of ours paid for; empty for a charge that is not ours.
func (g *Gateway) OrderOf(ctx context.Context, chargeID string) (string, error) {
	if !objectID(chargeID) {
		return "", payment.ErrNotFound
	}
	intent, err := g.api.V1PaymentIntents.Retrieve(ctx, chargeID, nil)
	if err != nil {
		return "", plain(err)
	}
	return intent.Metadata[metaOrder], nil
}
