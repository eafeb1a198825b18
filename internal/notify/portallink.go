package notify

import (
	"context"
	"errors"
	"slices"
	"time"

	"perennial/internal/auth"
	"perennial/internal/customer"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/message"
	"perennial/internal/plain"
	"perennial/internal/store"
)

// linkLifetime is how long a portal link lets somebody in.
const linkLifetime = 10 * time.Minute

// PortalLink is a link into the Portal that is about to be made. Its token is shown once: what recognises it is kept beside the
// journal, and nothing else of it.
type PortalLink struct {
	URL       string
	Expires   time.Time
	Command   journal.Command
	Machinery func(b *store.Batch) error
}

// Mailbox is what a customer's sessions, codes and links stand on: who reads a mailbox that is the customer's no more is not them, and does
// not become them again when the address is put back.
func Mailbox(s *store.Store, who *customer.Customer) string {
	parts := [][]byte{[]byte("mailbox"), []byte(who.ID), []byte(plain.EmailKey(who.Email.Value))}
	if at := who.EmailChangedAt; at != nil {
		parts = append(parts, []byte(at.UTC().Format(journal.TimeLayout)))
	}
	return s.Basis(parts...)
}

// Sessions are a customer's running sessions in the Portal, with the looks that the team takes there. One that stands on a mailbox that is
// the customer's no more is none. What the build before made stands on nothing.
func Sessions(ctx context.Context, s *store.Store, who *customer.Customer, now time.Time) ([]store.Session, error) {
	list, err := s.Sessions(ctx, s.Read, who.Ref(), now, time.Time{})
	return slices.DeleteFunc(list, func(n store.Session) bool { return n.Basis != "" && n.Basis != Mailbox(s, who) }), store.Fault(err)
}

// NewPortalLink makes a link for a customer into the Portal at an address. signIn is the id of the attempt that it becomes, basis the
// customer's Mailbox.
func NewPortalLink(portal string, customerID, signIn id.ID, basis string, now time.Time) PortalLink {
	secret := auth.NewSecret()
	c := customer.PortalLink{CustomerID: customerID, SignInID: signIn, ExpiresAt: now.Add(linkLifetime)}
	return PortalLink{URL: portal + "/link/" + string(signIn) + "." + secret, Expires: c.ExpiresAt, Command: journal.Bind(c), Machinery: func(b *store.Batch) error {
		return b.PutLink(store.Link{ID: signIn, Purpose: store.PortalLink, Owner: journal.Ref{Kind: journal.Customer, ID: customerID}, Basis: basis,
			ExpiresAt: c.ExpiresAt}, secret)
	}}
}

// Mail has the link mailed to the customer, too. key is the message's id.
func (l *PortalLink) Mail(s *store.Store, key, customerID id.ID, now time.Time) error {
	put := l.Machinery
	post, err := Secret{Name: message.MagicLink, To: journal.Ref{Kind: journal.Customer, ID: customerID}, Value: l.URL, Expires: l.Expires}.Post(s, key, now)
	l.Machinery = func(b *store.Batch) error { return errors.Join(put(b), post(b)) }
	return err
}
