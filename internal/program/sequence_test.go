package program_test

import (
	"testing"

	"perennial/internal/catalog"
	"perennial/internal/customer"
	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/kinds"
	"perennial/internal/program"
	"perennial/internal/settings"
	"perennial/internal/team"
	"perennial/internal/test/shop"
)

func update(key id.ID, title string) journal.Command {
	return journal.Bind(catalog.UpdateProduct{ID: key, Title: &title})
}

func TestASequenceIsOneCommand(t *testing.T) {
	s := shop.Open(t)
	key, create := product(s, "Coffee")
	out := s.Do(program.Sequence{create, update(key, "Espresso"), update(key, "Ristretto"), journal.Bind(catalog.ArchiveProduct{ID: key})})
	if len(out.Events) != 4 || out.Decision.Result != (journal.Ref{Kind: journal.Product, ID: key}) {
		t.Fatalf("got %d events of %v", len(out.Events), out.Decision.Result)
	}
	for i, e := range out.Events {
		if e.CommandID != out.Command || e.TargetVersion != int64(i+1) {
			t.Errorf("event %d: command %s, version %d", i, e.CommandID, e.TargetVersion)
		}
	}
	if c, _ := out.Events[2].Change("title"); string(c.Before) != `"Espresso"` || string(c.After) != `"Ristretto"` {
		t.Errorf("the third event changed %s to %s", c.Before, c.After)
	}

	head := s.Program.Head()
	_, err := s.Try(program.Sequence{journal.Bind(catalog.UpdateProduct{ID: key, Status: new(catalog.Active)}), update(key, "")})
	if fault.As(err).Kind != fault.Refused || s.Program.Head() != head {
		t.Errorf("a refused second command: got %v, head %d, want %d", err, s.Program.Head(), head)
	}
}

// Each command sees what those before it made: rows, columns and names. What caused an event keeps its place.
func TestASequenceSeesItself(t *testing.T) {
	s := shop.Open(t)
	first, second := s.IDs.New(id.TeamMember), s.IDs.New(id.TeamMember)
	const hash = "$argon2id$v=19$m=8,t=1,p=1$AAAA$AAAA"
	s.Do(journal.Bind(team.FoundTeam{ID: first, Email: "olivia@example.com", PasswordHash: hash}))
	demote := func(key id.ID) journal.Command {
		return journal.Bind(team.ChangeRole{ID: key, Role: team.Member, Actor: shop.System.Actor})
	}
	join := program.Sequence{
		journal.Bind(team.Invite{ID: second, Email: "mona@example.com", Role: team.Owner, Actor: shop.System.Actor}),
		journal.Bind(team.Join{ID: second, PasswordHash: hash}),
	}
	if _, err := s.Try(append(join, demote(first), demote(second))); fault.As(err).Code != "last_owner" {
		t.Errorf("both owners demoted: got %v, want last_owner", err)
	}
	s.Do(append(join, demote(first)))

	ada, bob := s.IDs.New(id.Customer), s.IDs.New(id.Customer)
	moved := "countess@example.com"
	out := s.Do(program.Sequence{
		journal.Bind(customer.Create{ID: ada, Email: "ada@example.com"}),
		journal.Bind(customer.UpdateProfile{ID: ada, Email: &moved}),
		journal.Bind(customer.Create{ID: bob, Email: "ada@example.com"}),
	})
	if len(out.Events) != 3 {
		t.Errorf("got %d events, want 3", len(out.Events))
	}
	if _, err := s.Try(journal.Bind(customer.Create{ID: s.IDs.New(id.Customer), Email: moved})); fault.As(err).Code != "email_taken" {
		t.Errorf("the name that moved: got %v, want email_taken", err)
	}
	if _, err := s.Try(program.Sequence{journal.Bind(customer.Create{ID: s.IDs.New(id.Customer), Email: "eve@example.com"}),
		journal.Bind(customer.Create{ID: s.IDs.New(id.Customer), Email: "EVE@example.com"})}); fault.As(err).Code != "email_taken" {
		t.Errorf("a name twice in one sequence: got %v, want email_taken", err)
	}
}

// An undo asks the rest of the shop: whether a name is still free, and whether the one who undoes could do it by hand.
func TestUndoAsksTheRestOfTheShop(t *testing.T) {
	s := shop.Open(t)
	ada := s.IDs.New(id.Customer)
	s.Do(journal.Bind(customer.Create{ID: ada, Email: "ada@example.com"}))
	changed := func(email string) id.ID {
		return s.Do(journal.Bind(customer.UpdateProfile{ID: ada, Email: &email})).Events[0].ID
	}
	moved := changed("countess@example.com")
	s.Do(journal.Bind(kinds.Undo{Event: moved, Actor: shop.System.Actor}))
	bob := s.IDs.New(id.Customer)
	s.Do(journal.Bind(customer.Create{ID: bob, Email: "countess@example.com"})) // free again
	if _, err := s.Try(journal.Bind(customer.Create{ID: s.IDs.New(id.Customer), Email: "ada@example.com"})); fault.As(err).Code != "email_taken" {
		t.Errorf("the address that came back: got %v, want email_taken", err)
	}
	moved = changed("lovelace@example.com")
	s.Do(journal.Bind(customer.Create{ID: s.IDs.New(id.Customer), Email: "ada@example.com"}))
	if _, err := s.Try(journal.Bind(kinds.Undo{Event: moved, Actor: shop.System.Actor})); fault.As(err).Code != "email_taken" {
		t.Errorf("an address that somebody else has now: got %v, want email_taken", err)
	}

	key := s.IDs.New(id.APIKey)
	s.Do(journal.Bind(team.CreateKey{ID: key, Name: "Reports", Permissions: []team.Permission{team.EventsView}, Hash: make([]byte, 32), Actor: shop.System.Actor}))
	less := s.Do(journal.Bind(team.UpdateKey{ID: key, Permissions: &[]team.Permission{team.APIKeysEdit}, Actor: shop.System.Actor})).Events[0].ID
	for _, who := range []journal.Actor{{Kind: journal.ActorAPIKey, ID: string(key)}, {}} {
		if _, err := s.Try(journal.Bind(kinds.Undo{Event: less, Actor: who})); fault.As(err).Code != "permission_not_yours" {
			t.Errorf("a permission back for %v: got %v, want permission_not_yours", who, err)
		}
	}
	s.Do(journal.Bind(kinds.Undo{Event: less, Actor: shop.System.Actor}))
}

func TestUndoOfSettings(t *testing.T) {
	s := shop.Open(t)
	saved := s.Do(journal.Bind(settings.Update{Document: &settings.Log{NetworkRetentionMonths: 3}})).Events[0].ID
	s.Do(journal.Bind(kinds.Undo{Event: saved}))
	r := program.NewReader(t.Context(), s.Store, s.Store.Read)
	if d, err := journal.Get[settings.Log](r, journal.Settings, settings.PageLog); err != nil || d.NetworkRetentionMonths != 12 {
		t.Errorf("after the undo: got %+v, %v", d, err)
	}
	dollars := s.Do(journal.Bind(settings.Update{Document: &settings.General{Name: "Test shop", TimeZone: "Europe/Berlin", Currency: "USD", Locale: "en"}})).Events[0].ID
	if _, err := s.Try(journal.Bind(kinds.Undo{Event: dollars})); fault.As(err).Code != "undo_currency" {
		t.Errorf("a change of the currency: got %v, want undo_currency", err)
	}
}

// A change that changes nothing is answered, and its answer is kept like any other.
func TestAChangeOfNothingIsAnswered(t *testing.T) {
	s := shop.Open(t)
	key, create := product(s, "Coffee")
	s.Do(create)
	answers := 0
	do := func(idempotency *program.Idempotency) *program.Outcome {
		t.Helper()
		out, err := s.Program.Do(t.Context(), &program.Request{Meta: shop.System, Command: update(key, "Coffee"), Idempotency: idempotency,
			Answer: func(q program.Query, o *program.Outcome) (program.Reply, error) {
				answers++
				row, err := q.S.Load(q.Ctx, q.Q, o.Decision.Result)
				return program.Reply{Status: 200, Body: []byte(row.State.(*catalog.Product).Title)}, err
			}})
		if err != nil || out.Reply.Status != 200 || string(out.Reply.Body) != "Coffee" || len(out.Events) != 0 {
			t.Fatalf("got %+v, %v", out, err)
		}
		return out
	}
	do(nil)
	once := &program.Idempotency{CallerKey: []byte("a"), RequestHash: []byte("1")}
	if do(once).Replayed || !do(once).Replayed || answers != 2 {
		t.Errorf("%d answers were made, want 2", answers)
	}
}
