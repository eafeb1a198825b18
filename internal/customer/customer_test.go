package customer

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/journal/journaltest"
	"perennial/internal/plain"
	"perennial/internal/settings"
)

var now = time.Date(2027, time.March, 31, 23, 30, 0, 0, time.UTC)

// subscribed stands for a subscription, with the fields that the rules of a customer look at.
type subscribed struct {
	ID                    id.ID  `json:"id"`
	Status                string `json:"status"`
	CustomerID            id.ID  `json:"customer_id"`
	ShippingAddressID     id.ID  `json:"shipping_address_id"`
	PaymentMethodID       id.ID  `json:"payment_method_id"`
	BackupPaymentMethodID id.ID  `json:"backup_payment_method_id"`
}

func (s *subscribed) Ref() journal.Ref { return journal.Ref{Kind: journal.Subscription, ID: s.ID} }
func (s *subscribed) Person() id.ID    { return s.CustomerID }

func newWorld() *journaltest.World {
	w := journaltest.NewWorld("shop_00000001")
	w.Fresh[journal.Customer] = func(id.ID) func() journal.State { return func() journal.State { return new(Customer) } }
	w.Fresh[journal.Address] = func(id.ID) func() journal.State { return func() journal.State { return new(Address) } }
	w.Fresh[journal.PaymentMethod] = func(id.ID) func() journal.State { return func() journal.State { return new(PaymentMethod) } }
	w.Fresh[journal.Settings] = settings.Fresh
	w.Columns[journal.Subscription] = map[string]journaltest.Column{
		"customer_id": func(s journal.State) string { return string(s.(*subscribed).CustomerID) },
	}
	return w
}

func run[W any](w *journaltest.World, c journal.Decider[W]) ([]*journal.Event, error) {
	_, events, err := w.Run(journal.Bind(c), now)
	return events, err
}

func do[W any](c journal.Decider[W]) func(*journaltest.World) ([]*journal.Event, error) {
	return func(w *journaltest.World) ([]*journal.Event, error) { return run(w, c) }
}

func must[W any](t testing.TB, w *journaltest.World, c journal.Decider[W]) []*journal.Event {
	t.Helper()
	events, err := run(w, c)
	if err != nil {
		t.Fatalf("%T: %v", c, err)
	}
	return events
}

func home() AddressFields {
	return AddressFields{FirstName: new("Ada"), Line1: new("Hauptstraße 1"), City: new("Graz"), Country: new("AT")}
}

func card() PaymentMethodFields {
	return PaymentMethodFields{GatewayReference: new("pm_gateway_1"), Brand: new("visa"), Last4: new("4242"), ExpMonth: new(4), ExpYear: new(2027)}
}

// newShop has cus_a with addr_1 (default), addr_2 (used by an open subscription), addr_3 (removed), pm_1 (default),
// pm_2 (backup), pm_3 (used), pm_4 (removed); cus_b with addr_b; and cus_gone, who was erased, with addr_gone and
// pm_gone.
func newShop(t testing.TB) *journaltest.World {
	t.Helper()
	w := newWorld()
	must(t, w, settings.Update{Document: &settings.General{Name: "Kiosk", TimeZone: "Pacific/Auckland", Currency: "NZD", Locale: "en-NZ"}})
	for _, c := range []id.ID{"cus_a", "cus_b", "cus_gone"} {
		must(t, w, Create{ID: c, Email: strings.TrimPrefix(string(c), "cus_") + "@example.com", FirstName: "Ada", Tags: []string{"vip"}})
	}
	for _, a := range [][2]id.ID{{"cus_a", "addr_1"}, {"cus_a", "addr_2"}, {"cus_a", "addr_3"}, {"cus_b", "addr_b"}, {"cus_gone", "addr_gone"}} {
		must(t, w, AddAddress{CustomerID: a[0], ID: a[1], Fields: home()})
	}
	for _, p := range [][2]id.ID{{"cus_a", "pm_1"}, {"cus_a", "pm_2"}, {"cus_a", "pm_3"}, {"cus_a", "pm_4"}, {"cus_gone", "pm_gone"}} {
		must(t, w, AddPaymentMethod{CustomerID: p[0], ID: p[1], Gateway: "simulated", Fields: card()})
	}
	must(t, w, SetBackupPaymentMethod{CustomerID: "cus_a", PaymentMethodID: "pm_2"})
	must(t, w, RemoveAddress{CustomerID: "cus_a", ID: "addr_3"})
	must(t, w, RemovePaymentMethod{CustomerID: "cus_a", ID: "pm_4"})
	must(t, w, redact{"cus_gone", "addr_gone", "pm_gone"})
	for _, s := range []*subscribed{
		{ID: "sub_1", Status: "paused", CustomerID: "cus_a", ShippingAddressID: "addr_2", BackupPaymentMethodID: "pm_3"},
		{ID: "sub_2", Status: "cancelled", CustomerID: "cus_a", ShippingAddressID: "addr_1", PaymentMethodID: "pm_1", BackupPaymentMethodID: "pm_2"},
	} {
		w.States[s.Ref()] = s
	}
	return w
}

// redact is the part of an erasure that this package knows.
type redact struct{ customer, address, method id.ID }

func (c redact) Load(r journal.Reader) (w World, err error) {
	if w, err = loadPaymentMethod(r, c.customer, c.method); err != nil {
		return w, err
	}
	w.Address, err = journal.Get[Address](r, journal.Address, c.address)
	return w, err
}

func (c redact) Decide(w World, _ time.Time) (journal.Decision, error) {
	drafts, names := RedactOwn(w.Customer, []*Address{w.Address}, []*PaymentMethod{w.PaymentMethod})
	return journal.Decision{Drafts: drafts, Reservations: names, Result: w.Customer.Ref()}, nil
}

func customerOf(w *journaltest.World, key id.ID) *Customer {
	return w.States[journal.Ref{Kind: journal.Customer, ID: key}].(*Customer)
}

func addressOf(w *journaltest.World, key id.ID) *Address {
	return w.States[journal.Ref{Kind: journal.Address, ID: key}].(*Address)
}

func methodOf(w *journaltest.World, key id.ID) *PaymentMethod {
	return w.States[journal.Ref{Kind: journal.PaymentMethod, ID: key}].(*PaymentMethod)
}

// outcome is the types of the events, or the refusal after "!": its fields, or its code when it is about none.
func outcome(events []*journal.Event, err error) string {
	if err != nil {
		f := fault.As(err)
		if len(f.Fields) == 0 {
			return "!" + f.Code
		}
		var out []string
		for _, field := range f.Fields {
			out = append(out, field.Pointer)
		}
		return "!" + strings.Join(out, " ")
	}
	var out []string
	for _, e := range events {
		out = append(out, string(e.Type))
	}
	return strings.Join(out, " ")
}

func TestCommands(t *testing.T) {
	with := func(change func(*AddressFields)) AddressFields {
		f := home()
		change(&f)
		return f
	}
	paid := func(change func(*PaymentMethodFields)) PaymentMethodFields {
		f := card()
		change(&f)
		return f
	}
	tests := []struct {
		name string
		do   func(*journaltest.World) ([]*journal.Event, error)
		want string
	}{
		{"create", do(Create{ID: "cus_new", Email: "new@example.com"}), "customer.created"},
		{"create with a taken address", do(Create{ID: "cus_new", Email: " A@Example.COM "}), "!email_taken"},
		{"create with an address that was given back", do(Create{ID: "cus_new", Email: "gone@example.com"}), "customer.created"},
		{"create: everything is wrong", do(Create{
			ID: "cus_new", Email: "new", FirstName: "a\u202e", LastName: strings.Repeat("x", 101), Phone: "\x07", Locale: "!", Tags: []string{"a", "b\x00c"},
		}), "!/email /first_name /last_name /phone /locale /tags"},
		{"an empty tag", do(Create{ID: "cus_new", Email: "new@example.com", Tags: []string{" "}}), "!/tags"},

		{"profile", do(UpdateProfile{ID: "cus_a", FirstName: new("Eda"), Tags: &[]string{"b", "a", "b"}}), "customer.profile_updated"},
		{"e-mail", do(UpdateProfile{ID: "cus_a", Email: new("new@example.com")}), "customer.email_changed"},
		{"both", do(UpdateProfile{ID: "cus_a", Email: new("new@example.com"), Phone: new("+43 1")}), "customer.profile_updated customer.email_changed"},
		{"only the case of the e-mail", do(UpdateProfile{ID: "cus_a", Email: new("A@example.com")}), "customer.email_changed"},
		{"the same profile", do(UpdateProfile{ID: "cus_a", Email: new(" a@example.com"), FirstName: new("Ada"), Tags: &[]string{"vip"}}), ""},
		{"a taken e-mail", do(UpdateProfile{ID: "cus_a", Email: new("B@example.com")}), "!email_taken"},
		{"a bad profile", do(UpdateProfile{ID: "cus_a", Email: new(""), Locale: new("")}), "!/email /locale"},
		{"the profile of nobody", do(UpdateProfile{ID: "cus_x"}), "!unknown_customer"},
		{"the profile of who was erased", do(UpdateProfile{ID: "cus_gone", FirstName: new("x")}), "!status_redacted"},

		{"first address", do(AddAddress{ID: "addr_new", CustomerID: "cus_new", Fields: home()}), "!unknown_customer"},
		{"another address", do(AddAddress{ID: "addr_new", CustomerID: "cus_a", Fields: home()}), "address.added"},
		{"an empty address", do(AddAddress{ID: "addr_new", CustomerID: "cus_a"}), "!/line1 /city /country"},
		{"a bad address", do(AddAddress{ID: "addr_new", CustomerID: "cus_a", Fields: with(func(f *AddressFields) {
			f.Line2, f.PostalCode, f.Country = new("a\tb"), new(strings.Repeat("1", 21)), new("at")
		})}), "!/line2 /postal_code /country"},
		{"an address of who was erased", do(AddAddress{ID: "addr_new", CustomerID: "cus_gone", Fields: home()}), "!status_redacted"},
		{"change an address", do(UpdateAddress{ID: "addr_2", CustomerID: "cus_a", Fields: AddressFields{Line2: new("2. Stock")}}), "address.updated"},
		{"the same address", do(UpdateAddress{ID: "addr_2", CustomerID: "cus_a", Fields: home()}), ""},
		{"empty the city", do(UpdateAddress{ID: "addr_2", CustomerID: "cus_a", Fields: AddressFields{City: new(" ")}}), "!/city"},
		{"change another's address", do(UpdateAddress{ID: "addr_b", CustomerID: "cus_a", Fields: home()}), "!unknown_address"},
		{"change a removed address", do(UpdateAddress{ID: "addr_3", CustomerID: "cus_a", Fields: AddressFields{Line2: new("x")}}), "!status_removed"},
		{"change an erased address", do(UpdateAddress{ID: "addr_gone", CustomerID: "cus_gone", Fields: home()}), "!status_redacted"},
		{"remove the default address", do(RemoveAddress{ID: "addr_1", CustomerID: "cus_a"}), "address.removed customer.default_address_changed"},
		{"remove an address in use", do(RemoveAddress{ID: "addr_2", CustomerID: "cus_a"}), "!address_in_use"},
		{"remove an address twice", do(RemoveAddress{ID: "addr_3", CustomerID: "cus_a"}), ""},
		{"remove another's address", do(RemoveAddress{ID: "addr_1", CustomerID: "cus_b"}), "!unknown_address"},
		{"remove an erased address", do(RemoveAddress{ID: "addr_gone", CustomerID: "cus_gone"}), "!status_redacted"},
		{"default address", do(SetDefaultAddress{CustomerID: "cus_a", AddressID: "addr_2"}), "customer.default_address_changed"},
		{"the same default address", do(SetDefaultAddress{CustomerID: "cus_a", AddressID: "addr_1"}), ""},
		{"a removed default address", do(SetDefaultAddress{CustomerID: "cus_a", AddressID: "addr_3"}), "!status_removed"},
		{"another's default address", do(SetDefaultAddress{CustomerID: "cus_a", AddressID: "addr_b"}), "!unknown_address"},

		{"first payment method", do(AddPaymentMethod{ID: "pm_new", CustomerID: "cus_b", Gateway: "simulated", Fields: card()}),
			"payment_method.added payment_method.default_changed"},
		{"another payment method", do(AddPaymentMethod{ID: "pm_new", CustomerID: "cus_a", Gateway: "simulated", Fields: card()}), "payment_method.added"},
		{"a method that does not expire", do(AddPaymentMethod{ID: "pm_new", CustomerID: "cus_a", Gateway: "simulated", Fields: PaymentMethodFields{
			GatewayReference: new("mandate 1")}}), "payment_method.added"},
		{"an empty payment method", do(AddPaymentMethod{ID: "pm_new", CustomerID: "cus_a"}), "!/gateway /gateway_reference"},
		{"a card number", do(AddPaymentMethod{ID: "pm_new", CustomerID: "cus_a", Gateway: "simulated", Fields: paid(func(f *PaymentMethodFields) {
			f.GatewayReference, f.Last4 = new("4242 4242 4242 4242"), new("4242424242424242")
		})}), "!/gateway_reference /last4"},
		{"an impossible expiry", do(AddPaymentMethod{ID: "pm_new", CustomerID: "cus_a", Gateway: "simulated", Fields: paid(func(f *PaymentMethodFields) {
			f.ExpMonth, f.ExpYear = new(13), new(3000)
		})}), "!/exp_month /exp_year"},
		// It is 31 March in UTC and 1 April in Auckland already.
		{"a card that expired in the shop's zone", do(AddPaymentMethod{ID: "pm_new", CustomerID: "cus_a", Gateway: "simulated",
			Fields: paid(func(f *PaymentMethodFields) { f.ExpMonth = new(3) })}), "!/exp_year"},
		{"a payment method of who was erased", do(AddPaymentMethod{ID: "pm_new", CustomerID: "cus_gone", Gateway: "simulated", Fields: card()}), "!status_redacted"},
		{"renew a card", do(UpdatePaymentMethod{ID: "pm_3", CustomerID: "cus_a", Fields: PaymentMethodFields{ExpYear: new(2030), Last4: new("1881")}}), "payment_method.updated"},
		{"the same card", do(UpdatePaymentMethod{ID: "pm_3", CustomerID: "cus_a", Fields: card()}), ""},
		{"age a card", do(UpdatePaymentMethod{ID: "pm_3", CustomerID: "cus_a", Fields: PaymentMethodFields{ExpYear: new(2020)}}), "!/exp_year"},
		{"a bad card", do(UpdatePaymentMethod{ID: "pm_3", CustomerID: "cus_a", Fields: PaymentMethodFields{Last4: new("12a4")}}), "!/last4"},
		{"change a removed card", do(UpdatePaymentMethod{ID: "pm_4", CustomerID: "cus_a", Fields: PaymentMethodFields{Last4: new("1")}}), "!status_removed"},
		{"change another's card", do(UpdatePaymentMethod{ID: "pm_1", CustomerID: "cus_b", Fields: card()}), "!unknown_payment_method"},
		{"remove the default card that subscriptions follow", do(RemovePaymentMethod{ID: "pm_1", CustomerID: "cus_a"}), "!payment_method_in_use"},
		{"remove the backup", do(RemovePaymentMethod{ID: "pm_2", CustomerID: "cus_a"}), "payment_method.removed payment_method.backup_set"},
		{"remove a card in use", do(RemovePaymentMethod{ID: "pm_3", CustomerID: "cus_a"}), "!payment_method_in_use"},
		{"remove a card twice", do(RemovePaymentMethod{ID: "pm_4", CustomerID: "cus_a"}), ""},
		{"remove an erased card", do(RemovePaymentMethod{ID: "pm_gone", CustomerID: "cus_gone"}), "!status_redacted"},
		{"default card", do(SetDefaultPaymentMethod{CustomerID: "cus_a", PaymentMethodID: "pm_3"}), "payment_method.default_changed"},
		{"the same default card", do(SetDefaultPaymentMethod{CustomerID: "cus_a", PaymentMethodID: "pm_1"}), ""},
		{"the backup becomes the default", do(SetDefaultPaymentMethod{CustomerID: "cus_a", PaymentMethodID: "pm_2"}),
			"payment_method.backup_set payment_method.default_changed"},
		{"a removed default card", do(SetDefaultPaymentMethod{CustomerID: "cus_a", PaymentMethodID: "pm_4"}), "!status_removed"},
		{"backup", do(SetBackupPaymentMethod{CustomerID: "cus_a", PaymentMethodID: "pm_3"}), "payment_method.backup_set"},
		{"no backup", do(SetBackupPaymentMethod{CustomerID: "cus_a"}), "payment_method.backup_set"},
		{"the default as its own backup", do(SetBackupPaymentMethod{CustomerID: "cus_a", PaymentMethodID: "pm_1"}), "!same_as_default"},
		{"a removed backup", do(SetBackupPaymentMethod{CustomerID: "cus_a", PaymentMethodID: "pm_4"}), "!status_removed"},
		{"a backup of who was erased", do(SetBackupPaymentMethod{CustomerID: "cus_gone"}), "!status_redacted"},

		{"portal link", do(PortalLink{CustomerID: "cus_a", SignInID: "sgn_1", ExpiresAt: now.Add(time.Hour)}), "customer.magic_link_created"},
		{"a link that has expired", do(PortalLink{CustomerID: "cus_a", SignInID: "sgn_1", ExpiresAt: now}), "!internal"},
		{"a link for who was erased", do(PortalLink{CustomerID: "cus_gone", SignInID: "sgn_1", ExpiresAt: now.Add(time.Hour)}), "!status_redacted"},
		{"ask for data", do(RequestData{CustomerID: "cus_a", RequestID: "req_1"}), "customer.data_requested"},
		{"ask for erased data", do(RequestData{CustomerID: "cus_gone", RequestID: "req_1"}), "!status_redacted"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newShop(t)
			events, err := tt.do(w)
			if got := outcome(events, err); got != tt.want {
				t.Errorf("got %q, want %q (%v)", got, tt.want, err)
			}
			for _, e := range events {
				if e.Target().Kind != journal.Customer && (len(e.Targets) < 2 || e.Targets[1].Kind != journal.Customer) {
					t.Errorf("%s does not mention its customer first: %v", e.Type, e.Targets)
				}
			}
			sound(t, w)
		})
	}
}

func TestFirstAddressIsTheDefault(t *testing.T) {
	w := newWorld()
	must(t, w, Create{ID: "cus_a", Email: "a@example.com", Tags: []string{"b", "a", "b "}})
	want := &Customer{
		ID: "cus_a", Email: journal.Secluded("a@example.com"), Locale: "en", Tags: []string{"a", "b"}, Status: Active, CreatedAt: journal.At(now),
	}
	if diff := cmp.Diff(want, customerOf(w, "cus_a")); diff != "" {
		t.Errorf("customer (-want +got):\n%s", diff)
	}
	if got := outcome(run(w, AddAddress{ID: "addr_1", CustomerID: "cus_a", Fields: home()})); got != "address.added customer.default_address_changed" {
		t.Errorf("first address: %s", got)
	}
	if got := customerOf(w, "cus_a").DefaultAddressID; got != "addr_1" {
		t.Errorf("default address %q, want addr_1", got)
	}
	must(t, w, RemoveAddress{ID: "addr_1", CustomerID: "cus_a"})
	if got := customerOf(w, "cus_a").DefaultAddressID; got != "" {
		t.Errorf("default address after its removal %q, want none", got)
	}
}

func TestLocaleIsTheShops(t *testing.T) {
	w := newShop(t)
	if got := customerOf(w, "cus_a").Locale; got != "en-NZ" {
		t.Errorf("locale %q, want the shop's", got)
	}
	must(t, w, Create{ID: "cus_new", Email: "new@example.com", Locale: "mi"})
	if got := customerOf(w, "cus_new").Locale; got != "mi" {
		t.Errorf("locale %q, want the given one", got)
	}
}

func TestRedactOwn(t *testing.T) {
	w := newShop(t)
	var got []string
	for _, e := range w.Events {
		if strings.HasSuffix(string(e.Type), ".redacted") {
			got = append(got, string(e.Type))
		}
	}
	if diff := cmp.Diff([]string{"address.redacted", "payment_method.redacted", "customer.redacted"}, got); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	for _, ref := range []journal.Ref{{Kind: journal.Customer, ID: "cus_gone"}, {Kind: journal.Address, ID: "addr_gone"}, {Kind: journal.PaymentMethod, ID: "pm_gone"}} {
		_, sealed, err := journal.Split(w.States[ref])
		if err != nil || sealed != nil {
			t.Errorf("%v still holds %s (%v)", ref, sealed, err)
		}
	}
	if owner, ok := w.Names[[2]string{ScopeEmail, "gone@example.com"}]; ok {
		t.Errorf("the e-mail address is still held by %s", owner)
	}
}

func TestUndo(t *testing.T) {
	w := newShop(t)
	later := &journal.Event{TargetVersion: 2}
	cus, gone := customerOf(w, "cus_a"), customerOf(w, "cus_gone")
	with := func(change func(*Customer)) *Customer {
		c := journal.Clone(cus)
		change(c)
		return c
	}
	removed := addressOf(w, "addr_3")
	back := journal.Clone(removed)
	back.Status = StatusActive
	aged := journal.Clone(methodOf(w, "pm_3"))
	aged.ExpMonth = 3
	homeless := journal.Clone(addressOf(w, "addr_1"))
	homeless.City.Value = ""
	erasedName := with(func(c *Customer) { c.Email = journal.Erased[string]() })
	tests := []struct {
		name              string
		event             *journal.Event
		current, restored journal.State
		want              string
	}{
		{"a name", later, cus, with(func(c *Customer) { c.FirstName.Value = "Eda" }), ""},
		{"a creation", &journal.Event{TargetVersion: 1}, cus, new(Customer), "undo_first"},
		{"of who was erased", later, gone, gone, "erased"},
		{"to what was erased", later, cus, erasedName, "erased"},
		{"of an erased address", later, addressOf(w, "addr_gone"), back, "erased"},
		{"of an erased card", later, methodOf(w, "pm_gone"), aged, "erased"},
		{"a removal", later, removed, back, ""},
		{"a change before the removal", later, removed, removed, "status_removed"},
		{"that would remove", later, back, removed, "undo_not_allowed"},
		{"to an incomplete address", later, addressOf(w, "addr_1"), homeless, "undo_not_allowed"},
		{"to an expired card", later, methodOf(w, "pm_3"), aged, "undo_expired"},
		{"to a taken e-mail", later, cus, with(func(c *Customer) { c.Email.Value = "B@example.com" }), "email_taken"},
		{"to a removed default address", later, cus, with(func(c *Customer) { c.DefaultAddressID = "addr_3" }), "undo_removed"},
		{"to another default address", later, cus, with(func(c *Customer) { c.DefaultAddressID = "addr_2" }), ""},
		{"to a removed default card", later, cus, with(func(c *Customer) { c.DefaultPaymentMethodID = "pm_4" }), "undo_removed"},
		{"to a removed backup", later, cus, with(func(c *Customer) { c.BackupPaymentMethodID = "pm_4" }), "undo_removed"},
		{"to the default as its own backup", later, cus, with(func(c *Customer) { c.BackupPaymentMethodID = "pm_1" }), "undo_not_allowed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			general := w.States[journal.Ref{Kind: journal.Settings, ID: settings.PageGeneral}].(*settings.General)
			err := Undo(tt.event, now, tt.current, tt.restored, general)
			if err == nil {
				_, err = Restore(w, tt.current, tt.restored)
			}
			got := ""
			if err != nil {
				got = fault.As(err).Code
			}
			if got != tt.want {
				t.Errorf("code %q, want %q (%v)", got, tt.want, err)
			}
		})
	}

	moves, err := Restore(w, cus, with(func(c *Customer) { c.Email.Value = "Old@example.com" }))
	want := []journal.Reservation{
		{Scope: ScopeEmail, Value: "old@example.com", Owner: "cus_a"},
		{Scope: ScopeEmail, Value: "a@example.com", Owner: "cus_a", Release: true},
	}
	if diff := cmp.Diff(want, moves); err != nil || diff != "" {
		t.Errorf("undo of a change of e-mail: %v (-want +got):\n%s", err, diff)
	}
}

func TestCardNumber(t *testing.T) {
	for s, want := range map[string]bool{
		"4242424242424242": true, "4242-4242-4242-4242": true, "378282246310005": true, "4242424242424243": false, "pm_4242424242424242": false,
		"": false, "0": false, "00000000000000000000": false,
	} {
		if got := cardNumber(s); got != want {
			t.Errorf("cardNumber(%q) = %t, want %t", s, got, want)
		}
	}
}

// sound says that no state breaks a rule, that the defaults are rows of the same customer that are there, that the
// reservations are those of who is there, and that the events fold to the same states.
func sound(t interface {
	Helper()
	Fatalf(string, ...any)
}, w *journaltest.World) {
	t.Helper()
	names := map[[2]string]id.ID{}
	own := map[journal.Ref]journal.State{}
	for ref, s := range w.States {
		if ref.Kind == journal.Subscription {
			continue
		}
		own[ref] = s
		if ref.Kind == journal.Settings {
			continue
		}
		if err := Check(s); err != nil {
			t.Fatalf("%v: %v", ref, err)
		}
		c, ok := s.(*Customer)
		if !ok {
			continue
		}
		if c.Status == Active {
			names[[2]string{ScopeEmail, plain.EmailKey(c.Email.Value)}] = c.ID
		}
		if key := c.DefaultAddressID; key != "" && (addressOf(w, key).CustomerID != c.ID || addressOf(w, key).Status != StatusActive) {
			t.Fatalf("the default address %s of %s is not there", key, c.ID)
		}
		for _, key := range []id.ID{c.DefaultPaymentMethodID, c.BackupPaymentMethodID} {
			if key != "" && (methodOf(w, key).CustomerID != c.ID || methodOf(w, key).Status != StatusActive) {
				t.Fatalf("the payment method %s of %s is not there", key, c.ID)
			}
		}
	}
	for _, s := range w.States {
		if sub, ok := s.(*subscribed); ok && slices.Contains(openStatuses, sub.Status) && sub.ShippingAddressID != "" {
			if a := addressOf(w, sub.ShippingAddressID); a.Status != StatusActive {
				t.Fatalf("%s ships to %s, which is %s", sub.ID, a.ID, a.Status)
			}
		}
	}
	if diff := cmp.Diff(names, w.Names); diff != "" {
		t.Fatalf("reservations (-of customers +held):\n%s", diff)
	}
	rebuilt, err := w.Rebuild()
	if err != nil {
		t.Fatalf("replay: %v", err)
	}
	if diff := cmp.Diff(own, rebuilt, cmpopts.EquateEmpty()); diff != "" {
		t.Fatalf("replay (-live +replayed):\n%s", diff)
	}
}

func TestAnySequence(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld()
		draw := func(label string, of ...id.ID) id.ID { return rapid.SampledFrom(of).Draw(t, label) }
		customer := func() id.ID { return draw("customer", "cus_a", "cus_b") }
		address := func() id.ID { return draw("address", "addr_1", "addr_2", "addr_3") }
		method := func() id.ID { return draw("method", "pm_1", "pm_2", "pm_3") }
		word := func() *string {
			return rapid.SampledFrom([]*string{nil, new(""), new("one"), new("two"), new("\x00")}).Draw(t, "text")
		}
		email := func() string {
			return rapid.SampledFrom([]string{"a@example.com", "A@example.com", "b@example.com", "c@example.com", "x"}).Draw(t, "email")
		}
		fields := func() AddressFields {
			return AddressFields{Line1: word(), Line2: word(), City: word(), Country: rapid.SampledFrom([]*string{nil, new("AT"), new("x")}).Draw(t, "country")}
		}
		cardFields := func() PaymentMethodFields {
			return PaymentMethodFields{GatewayReference: word(), ExpMonth: rapid.SampledFrom([]*int{nil, new(0), new(6)}).Draw(t, "month"), ExpYear: new(2027)}
		}
		there := func(k journal.Kind, key id.ID) bool {
			_, ok := w.States[journal.Ref{Kind: k, ID: key}]
			return ok
		}
		for range rapid.IntRange(1, 40).Draw(t, "commands") {
			var c journal.Command
			switch n := rapid.IntRange(0, 13).Draw(t, "command"); n {
			case 0:
				if key := customer(); !there(journal.Customer, key) {
					c = journal.Bind(Create{ID: key, Email: email(), Tags: []string{"b", "a", "b"}})
				}
			case 1:
				update := UpdateProfile{ID: customer(), FirstName: word(), Phone: word()}
				if rapid.Bool().Draw(t, "email too") {
					update.Email = new(email())
				}
				c = journal.Bind(update)
			case 2, 3:
				if key := address(); !there(journal.Address, key) {
					full := home()
					full.Line2 = word()
					c = journal.Bind(AddAddress{ID: key, CustomerID: customer(), Fields: full})
				}
			case 4:
				c = journal.Bind(UpdateAddress{ID: address(), CustomerID: customer(), Fields: fields()})
			case 5:
				c = journal.Bind(RemoveAddress{ID: address(), CustomerID: customer()})
			case 6:
				c = journal.Bind(SetDefaultAddress{CustomerID: customer(), AddressID: address()})
			case 7, 8:
				if key := method(); !there(journal.PaymentMethod, key) {
					c = journal.Bind(AddPaymentMethod{ID: key, CustomerID: customer(), Gateway: "simulated", Fields: card()})
				}
			case 9:
				c = journal.Bind(UpdatePaymentMethod{ID: method(), CustomerID: customer(), Fields: cardFields()})
			case 10:
				c = journal.Bind(RemovePaymentMethod{ID: method(), CustomerID: customer()})
			case 11:
				c = journal.Bind(SetDefaultPaymentMethod{CustomerID: customer(), PaymentMethodID: method()})
			case 12:
				c = journal.Bind(SetBackupPaymentMethod{CustomerID: customer(), PaymentMethodID: draw("method", "", "pm_1", "pm_2", "pm_3")})
			case 13:
				a, ok := w.States[journal.Ref{Kind: journal.Address, ID: address()}].(*Address)
				if !ok || a.Status != StatusActive {
					continue
				}
				s := &subscribed{ID: id.ID(fmt.Sprintf("sub_%d", len(w.States))), Status: "active", CustomerID: a.CustomerID, ShippingAddressID: a.ID}
				w.States[s.Ref()] = s
			}
			if c == nil {
				continue
			}
			decision, events, err := w.Run(c, now)
			if err != nil {
				if fault.As(err).Kind == fault.Internal {
					t.Fatalf("a command failed: %v", err)
				}
				continue
			}
			for i, d := range decision.Drafts {
				last := !slices.ContainsFunc(decision.Drafts[i+1:], func(l journal.Draft) bool { return l.After.Ref() == d.After.Ref() })
				if diff := cmp.Diff(d.After, w.States[d.After.Ref()], cmpopts.EquateEmpty()); last && diff != "" {
					t.Fatalf("event %s says something else than the decision (-decided +applied):\n%s", events[i].Type, diff)
				}
			}
			sound(t, w)
		}
	})
}
