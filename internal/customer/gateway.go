package customer

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
)

// What is known of an erased customer's data at the payment gateway. It is empty for everybody else, and for those who were erased by a
// build that left it there.
const (
	GatewayDataDue     = "due"     // it is to be deleted
	GatewayDataFailing = "failing" // it is to be deleted, and the gateway refuses or does not answer
	GatewayDataErased  = "erased"
)

// SecretGatewayReferences is the secret of an erased customer that names their cards at the gateway, sealed, until they are deleted there.
const SecretGatewayReferences = "gateway_references"

// GatewayReference is a card at a gateway.
type GatewayReference struct {
	Gateway   string `json:"gateway"`
	Reference string `json:"reference"`
}

// gatewayReferences is the secret with the references of all methods.
func gatewayReferences(methods []*PaymentMethod) journal.Secret {
	all := []GatewayReference{}
	for _, p := range methods {
		r := GatewayReference{p.Gateway, p.GatewayReference.Value}
		if !p.GatewayReference.Erased && r.Reference != "" && !slices.Contains(all, r) {
			all = append(all, r)
		}
	}
	b, err := json.Marshal(all)
	if err != nil {
		panic(fmt.Sprintf("customer: %v", err)) // text always can be written
	}
	return journal.Secret{Name: SecretGatewayReferences, Value: b, Seal: true}
}

// ReadGatewayReferences reads the secret.
func ReadGatewayReferences(secret []byte) (all []GatewayReference, err error) {
	if err = json.Unmarshal(secret, &all); err != nil {
		err = fmt.Errorf("customer: %s: %w", SecretGatewayReferences, err)
	}
	return all, err
}

// NoteGatewayErased says that the gateway keeps nothing of an erased customer any more; the references to it go with that.
type NoteGatewayErased struct {
	ID        id.ID
	Customers int      // that were deleted there; 0: it had none (any more)
	Elsewhere []string // other gateways that the customer had cards at, which nobody can be asked about here
}

type gatewayErasedDetails struct {
	Customers int      `json:"customers"`
	Elsewhere []string `json:"elsewhere,omitzero"`
}

func (c NoteGatewayErased) Load(r journal.Reader) (World, error) { return loadCustomer(r, c.ID) }

// Decide refuses a customer of whom nothing is to be deleted (not_due).
func (c NoteGatewayErased) Decide(w World, _ time.Time) (journal.Decision, error) {
	next, err := w.gatewayData(GatewayDataErased)
	if err != nil {
		return journal.Decision{}, err
	}
	return journal.Decision{Result: next.Ref(), Drafts: []journal.Draft{{
		Type: journal.CustomerGatewayErased, Before: w.Customer, After: next, Details: gatewayErasedDetails{c.Customers, c.Elsewhere},
		Secrets: []journal.Secret{{Name: SecretGatewayReferences, Value: []byte{0}}},
	}}}, nil
}

// NoteGatewayErasureFailed says that the gateway keeps failing to delete an erased customer, once.
type NoteGatewayErasureFailed struct {
	ID   id.ID
	Code string
}

type gatewayErasureFailedDetails struct {
	Code string `json:"code"`
}

func (c NoteGatewayErasureFailed) Load(r journal.Reader) (World, error) { return loadCustomer(r, c.ID) }

// Decide refuses a customer of whom nothing is to be deleted (not_due). What was told before changes nothing.
func (c NoteGatewayErasureFailed) Decide(w World, _ time.Time) (journal.Decision, error) {
	next, err := w.gatewayData(GatewayDataFailing)
	if err != nil || w.Customer.GatewayData == GatewayDataFailing {
		return journal.Decision{Result: w.Customer.Ref()}, err
	}
	return journal.Decision{Result: next.Ref(), Drafts: []journal.Draft{{
		Type: journal.CustomerGatewayErasureFailed, Before: w.Customer, After: next, Details: gatewayErasureFailedDetails{c.Code},
	}}}, nil
}

func (w World) gatewayData(to string) (*Customer, error) {
	if s := w.Customer.GatewayData; s != GatewayDataDue && s != GatewayDataFailing {
		return nil, fault.New(fault.Conflict, "not_due", "Nothing of this customer is to be deleted at the payment gateway.")
	}
	next := journal.Clone(w.Customer)
	next.GatewayData = to
	return next, nil
}
