package stripe

import (
	"context"
	"errors"
	"slices"

	sdk "github.com/stripe/stripe-go/v85"

	"perennial/internal/id"
	"perennial/internal/payment"
)

// Keeper implements [payment.Eraser]: the customer at Stripe.
func (g *Gateway) Keeper(reference string) string { return CustomerIn(reference) }

// EraseCustomer implements [payment.Eraser]. It deletes the customers of the references, and those that bear our customer's id, which
// were made for a card that was never added. Stripe keeps their payment intents, so that a charge can still be looked up, contested
// and refunded. (docs.stripe.com/api/customers/delete)
func (g *Gateway) EraseCustomer(ctx context.Context, e payment.Erasure) (int, error) {
	var of []string
	for _, r := range e.References {
		if c := CustomerIn(r); c != "" && !slices.Contains(of, c) {
			of = append(of, c)
		}
	}
	gone := 0
	erase := func(customers, references []string) error {
		for _, c := range customers {
			deleted, err := g.erase(ctx, c, e.CustomerID, references)
			if err != nil {
				return err
			}
			if deleted {
				gone++
			}
		}
		return nil
	}
	if err := erase(of, e.References); err != nil {
		return gone, err
	}
	for _, r := range e.Shared {
		if err := g.detach(ctx, r); err != nil {
			return gone, err
		}
	}
	q := "metadata['" + metaCustomer + "']:'" + token(string(e.CustomerID)) + "'"
	p := &sdk.CustomerSearchParams{SearchParams: sdk.SearchParams{Query: q}}
	var found []string
	for c, err := range g.api.V1Customers.Search(ctx, p).All(ctx) {
		if f, ok := errors.AsType[*sdk.Error](err); ok && noSearch(f) {
			return gone, nil
		}
		if err != nil {
			return gone, asked(err)
		}
		if !slices.Contains(of, c.ID) && c.Metadata[metaCustomer] == string(e.CustomerID) {
			found = append(found, c.ID)
		}
	}
	err := erase(found, nil)
	return gone, err
}

// erase deletes a customer, or only their cards of the references when Stripe says that they are another customer's of ours.
func (g *Gateway) erase(ctx context.Context, at string, ours id.ID, references []string) (deleted bool, err error) {
	c, err := g.api.V1Customers.Retrieve(ctx, at, nil)
	switch err := asked(err); {
	case errors.Is(err, payment.ErrNotFound), err == nil && c.Deleted:
		return false, nil
	case err != nil:
		return false, err
	}
	if whose := c.Metadata[metaCustomer]; whose != "" && whose != string(ours) {
		for _, r := range references {
			if CustomerIn(r) == at {
				if err := g.detach(ctx, r); err != nil {
					return false, err
				}
			}
		}
		return false, nil
	}
	_, err = g.api.V1Customers.Delete(ctx, at, nil)
	if err = asked(err); errors.Is(err, payment.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// detach takes a card away from its customer. Stripe says of one that is gone, or nobody's any more, that it is missing or that the
// request is invalid.
func (g *Gateway) detach(ctx context.Context, reference string) error {
	_, method, ok := splitReference(reference)
	if !ok {
		return nil
	}
	_, err := g.api.V1PaymentMethods.Detach(ctx, method, nil)
	if e, certain := refused(err); certain && e.Type == sdk.ErrorTypeInvalidRequest {
		return nil
	}
	return asked(err)
}
