package notify

import (
	"context"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"perennial/internal/auth"
	"perennial/internal/customer"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/mail"
	"perennial/internal/message"
	"perennial/internal/settings"
	"perennial/internal/store"
	"perennial/internal/team"
)

// Secret is a message that brings one: a code, or the address of a link. Whoever makes the secret puts the message on its way with
// the same command. It waits in the outbox sealed, and is taken out of it when it was sent, or is worth nothing any more.
type Secret struct {
	Name     message.Name
	To       journal.Ref // a customer or a team member
	Language string      // in which it was asked for; empty: theirs
	Inviter  id.ID       // the team member who invites
	Value    string
	Expires  time.Time
}

// secretPurpose binds a secret to the message that brings it: what it is, and to whom it goes. In another message it opens for nobody.
func secretPurpose(name message.Name, to journal.Ref, key id.ID) string {
	return strings.Join([]string{"message", string(name), string(to.Kind), string(to.ID), string(key)}, "\x00")
}

// to is who a message that brings a secret goes to.
func (w note) to() journal.Ref {
	if w.Member != "" {
		return journal.Ref{Kind: journal.TeamMember, ID: w.Member}
	}
	return journal.Ref{Kind: journal.Customer, ID: w.Customer}
}

func secretBox(s *store.Store) auth.Box {
	return auth.NewBox(s.Keys.Folder().Derive("messages " + string(s.Shop)))
}

// Post gives the machinery of the command that makes the secret. key is the message's id.
func (m Secret) Post(s *store.Store, key id.ID, now time.Time) (func(b *store.Batch) error, error) {
	sealed, err := secretBox(s).Ticket(secretPurpose(m.Name, m.To, key), m.Value, m.Expires)
	if err != nil {
		return nil, err
	}
	what := note{Name: m.Name, Language: m.Language, Inviter: m.Inviter, Secret: sealed}
	if m.To.Kind == journal.TeamMember {
		what.Member = m.To.ID
	} else {
		what.Customer = m.To.ID
	}
	body, err := json.Marshal(what)
	if err != nil {
		return nil, err
	}
	// Somebody waits for it, so it goes before what only was due earlier.
	p := store.Posted{ID: key, Cause: string(key), DueAt: now.Add(-24 * time.Hour), Body: string(body)}
	return func(b *store.Batch) error { return b.Post(p) }, nil
}

// composeSecret makes a message that brings a secret; nil when there is nobody to write to, or the secret is worth nothing any more.
func (n *Notifier) composeSecret(ctx context.Context, key id.ID, what note, general *settings.General, t *message.Template) (*mail.Message, message.Text, error) {
	var secret string
	if !secretBox(n.Store).Redeem(secretPurpose(what.Name, what.to(), key), what.Secret, n.Program.Now(), &secret) {
		return nil, message.Text{}, nil
	}
	r := n.reader(ctx)
	said := map[string]string{"shop_name": general.Name, "support_email": general.SupportEmail, "portal_link": n.Portal, "code": secret, "link": secret}
	var to journal.Personal[string]
	locale := general.Locale
	if what.Member != "" {
		who, err := journal.Get[team.TeamMember](r, journal.TeamMember, what.Member)
		if err != nil || who.Status == team.Removed {
			return nil, message.Text{}, err
		}
		to, said["inviter"] = who.Email, general.Name
		by, err := journal.Find[team.TeamMember](r, journal.TeamMember, what.Inviter)
		if err != nil {
			return nil, message.Text{}, err
		}
		if by != nil && !by.Name.Erased && by.Name.Value != "" {
			said["inviter"] = by.Name.Value
		}
	} else {
		who, err := journal.Get[customer.Customer](r, journal.Customer, what.Customer)
		if err != nil || who.Status != customer.Active {
			return nil, message.Text{}, err
		}
		to, locale, said["customer_first_name"] = who.Email, who.Locale, who.FirstName.Value
	}
	if to.Erased || to.Value == "" {
		return nil, message.Text{}, nil
	}
	language, _ := words().Match(what.Language, locale, general.Locale)
	text := message.Says(what.Name, t, language)
	out, err := message.Render(text, general.Name, said)
	if err != nil {
		return nil, text, err
	}
	m := Letter(general, to.Value, out)
	return &m, text, nil
}
