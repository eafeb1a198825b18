package notify_test

import (
	"strings"
	"testing"

	"perennial/internal/customer"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/privacy"
	"perennial/internal/program"
	"perennial/internal/team"
)

// Whose account it is hears of what outlasts a session, whoever did it, and in whose name somebody was given something.
func TestWhoseAccountItIs(t *testing.T) {
	w := newWorld(t)
	olga, ben, key := w.IDs.New(id.TeamMember), w.IDs.New(id.TeamMember), w.IDs.New(id.Passkey)
	hash := "$argon2id$v=19$m=65536,t=3,p=4$c2FsdHNhbHRzYWx0c2FsdA$aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNoaGFzaGhhc2g"
	as := journal.Actor{Kind: journal.ActorTeamMember, ID: string(olga)}
	do := func(who journal.Actor, c journal.Command) {
		t.Helper()
		from := journal.Origin{Channel: journal.ChannelDashboard, IP: journal.Secluded("203.0.113.9"), UserAgent: journal.Secluded("Mozilla/5.0 (X11; Linux x86_64) Firefox/144.0")}
		if _, err := w.Program.Do(t.Context(), &program.Request{Meta: program.Meta{Actor: who, Source: from}, Command: c}); err != nil {
			t.Fatal(err)
		}
	}
	do(system.Actor, journal.Bind(team.FoundTeam{ID: olga, Email: "olga@example.com", Name: "Olga", PasswordHash: hash}))
	w.run()
	for _, tt := range []struct {
		who       journal.Actor
		do        journal.Command
		to, words string
	}{
		{as, journal.Bind(team.Invite{ID: ben, Email: "ben@example.com", Role: team.Owner, Actor: as}), "olga@example.com", "Somebody was invited to the team from your account."},
		{journal.Actor{Kind: journal.ActorTeamMember, ID: string(ben)}, journal.Bind(team.Join{ID: ben, PasswordHash: hash}), "", ""},
		{as, journal.Bind(team.AddPasskey{ID: olga, Passkey: key, Credential: []byte("{}"), Actor: as}), "olga@example.com", "A passkey was added to your account."},
		{as, journal.Bind(team.SetPassword{ID: olga, PasswordHash: hash, Actor: as}), "olga@example.com", "The password of your account was changed."},
		{as, journal.Bind(team.RemovePasskey{ID: olga, Passkey: key, Actor: as}), "olga@example.com", "A passkey was removed from your account."},
		{as, journal.Bind(team.CreateKey{ID: w.IDs.New(id.APIKey), Name: "Mine", Permissions: []team.Permission{team.EventsView}, Hash: make([]byte, 32), Actor: as}), "olga@example.com", "An API key was made from your account."},
		{as, journal.Bind(team.EnableAuthenticator{ID: olga, Seed: []byte("x"), Recovery: make([]byte, 32*team.RecoveryCodes), Actor: as}), "olga@example.com", "An authenticator app was set up for your account."},
		{journal.Actor{Kind: journal.ActorTeamMember, ID: string(ben)}, journal.Bind(team.DisableAuthenticator{ID: olga, Actor: journal.Actor{Kind: journal.ActorTeamMember, ID: string(ben)}}), "olga@example.com", "The authenticator app of your account was switched off."},
		{as, journal.Bind(team.ChangeRole{ID: ben, Role: team.Admin, Actor: as}), "olga@example.com", "The role of somebody in the team was changed from your account."},
		{system.Actor, journal.Bind(team.CreateKey{ID: w.IDs.New(id.APIKey), Name: "First", Permissions: []team.Permission{team.EventsView}, Hash: make([]byte, 32), Actor: system.Actor}), "", ""},
	} {
		before := len(w.post.letters())
		do(tt.who, tt.do)
		w.run()
		got := w.post.letters()[before:]
		if tt.to == "" {
			if len(got) > 0 {
				t.Errorf("%q was sent", got)
			}
			continue
		}
		if len(got) != 1 || !strings.Contains(got[0], "To: <"+tt.to+">") || !strings.Contains(strings.ReplaceAll(got[0], "=\r\n", ""), tt.words) || !strings.Contains(got[0], "Firefox on Linux") {
			t.Errorf("%q: %d messages: %q", tt.words, len(got), got)
		}
	}
}

// The mailbox that was the customer's hears that it is no more, whoever changed the address.
func TestTheAddressBeforeHearsOfTheChange(t *testing.T) {
	w := newWorld(t)
	w.run()
	change := func(email string) []string {
		t.Helper()
		before := len(w.post.letters())
		w.Do(journal.Bind(customer.UpdateProfile{ID: w.ada, Email: &email}))
		w.run()
		return w.post.letters()[before:]
	}
	plain := func(s string) string { return strings.ReplaceAll(s, "=\r\n", "") }
	got := change("new@example.com")
	if len(got) != 1 || !strings.Contains(got[0], "To: <ada@example.com>") || !strings.Contains(plain(got[0]), "die E-Mail-Adresse Ihres Kontos wurde am") {
		t.Errorf("%d messages: %q", len(got), got)
	}
	if strings.Contains(got[0], "new@example.com") {
		t.Errorf("the mailbox before learns the new address: %q", got)
	}
	if got := change("NEW@example.com"); len(got) > 0 {
		t.Errorf("the same mailbox hears of it: %q", got)
	}
	email := "third@example.com"
	before := len(w.post.letters())
	w.Do(journal.Bind(customer.UpdateProfile{ID: w.ada, Email: &email}))
	w.Do(journal.Bind(privacy.Redact{CustomerID: w.ada, ConfirmEmail: email}))
	w.run()
	if got := w.post.letters()[before:]; len(got) > 0 {
		t.Errorf("something is sent to an address that was erased: %q", got)
	}
}
