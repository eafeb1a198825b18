package portal

import (
	"regexp"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"perennial/internal/customer"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/program"
	"perennial/internal/subscription"
	"perennial/internal/team"
	"perennial/internal/test/shop"
	"perennial/internal/web/ui/lang"
)

// TestTheSentenceOfAGift says in every language which order became a gift; entries of the time before that was told have a sentence too.
func TestTheSentenceOfAGift(t *testing.T) {
	for language, want := range map[string][3]string{
		"en": {"Made the order of 3 April 2027 a gift", "Undone: Made the order of 3 April 2027 a gift", "Made an order a gift"},
		"de": {"Bestellung vom 3. April 2027 verschenkt", "Rückgängig gemacht: Bestellung vom 3. April 2027 verschenkt", "Bestellung verschenkt"},
		"fr": {"Commande du 3 avril 2027 offerte", "Retour en arrière\u00a0: Commande du 3 avril 2027 offerte", "Commande offerte"},
		"es": {"Pedido del 3 de abril de 2027 regalado", "Cambio deshecho: Pedido del 3 de abril de 2027 regalado", "Pedido regalado"},
	} {
		c := &call{ctx: lang.With(t.Context(), catalogue().Printer(language, language))}
		dated := journal.Event{Type: "subscription.order_gifted", Details: []journal.Detail{{Name: "date", Value: jsontext.Value(`"2027-04-03"`)}}}
		undone := dated
		undone.Corrects = "evt_x"
		old := journal.Event{Type: dated.Type}
		if got := [3]string{c.sentence(&dated), c.sentence(&undone), c.sentence(&old)}; got != want {
			t.Errorf("%s: got %q, want %q", language, got, want)
		}
	}
}

// A line of the history names what it is about as it was called then, and nobody of the team.
func TestTheHistoryHasTheNamesOfItsTime(t *testing.T) {
	w := newWorld(t)
	member := w.IDs.New(id.TeamMember)
	w.Do(journal.Bind(team.FoundTeam{ID: member, Email: "grace@store.example", Name: "Grace Hopper",
		PasswordHash: "$argon2id$v=19$m=65536,t=3,p=4$c2FsdHNhbHRzYWx0c2FsdA$aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNoaGFzaGhhc2g"}))
	v := w.signIn("ada@example.com")
	meta := shop.System
	meta.Actor = journal.Actor{Kind: journal.ActorTeamMember, ID: string(member)}
	as := func(c journal.Command) {
		t.Helper()
		if _, err := w.Program.Do(t.Context(), &program.Request{Meta: meta, Command: c}); err != nil {
			t.Fatal(err)
		}
	}
	home := w.subscription(w.hers).ShippingAddressID
	if home == "" {
		row, err := w.Store.Load(t.Context(), w.Store.Read, journal.Ref{Kind: journal.Customer, ID: w.ada})
		if err != nil {
			t.Fatal(err)
		}
		home = row.State.(*customer.Customer).DefaultAddressID
	}
	item := w.subscription(w.hers).Items[0]
	as(journal.Bind(subscription.Skip{ID: w.hers}))
	as(journal.Bind(customer.UpdateAddress{ID: home, CustomerID: w.ada, Fields: customer.AddressFields{Line1: new("Lane 2")}}))
	as(journal.Bind(subscription.ChangeItem{ID: w.hers, ItemID: item.ID, Quantity: new(3)}))
	as(journal.Bind(customer.UpdateAddress{ID: home, CustomerID: w.ada, Fields: customer.AddressFields{City: new("Basel")}}))
	w.spare()
	body := v.get("/portal/history").body
	lines := regexp.MustCompile(`(?s)<li class="row">(.*?)</li>`).FindAllStringSubmatch(body, -1)
	line := func(text string, n int) string {
		for _, l := range lines {
			if strings.Contains(l[1], text) {
				if n == 0 {
					return l[1]
				}
				n--
			}
		}
		t.Fatalf("no line %q in\n%s", text, body)
		return ""
	}
	for _, tt := range []struct {
		text, want string
		n          int
	}{
		{"Changed an address", "Lane 2, Basel", 0},
		{"Changed an address", "Lane 2, Bern", 1},
		{"Added an address", "Street 1, Bern", 0},
		{"Added a payment method", "Mastercard ending in 4444", 0},
		{"Skipped the order", "1 × Coffee, 250 g, 1 × Coffee, 1 kg", 0},
		{"Changed the quantity", "3 × Coffee, 250 g, 1 × Coffee, 1 kg", 0},
	} {
		if l := line(tt.text, tt.n); !strings.Contains(l, tt.want) {
			t.Errorf("%s names no %q: %s", tt.text, tt.want, l)
		}
	}
	for _, of := range []string{"Grace", "Hopper", "grace@", string(member)} {
		if strings.Contains(body, of) {
			t.Errorf("the page names %q of the team", of)
		}
	}
}
