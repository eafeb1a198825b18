package journal_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"perennial/internal/billing"
	"perennial/internal/cancelflow"
	"perennial/internal/catalog"
	"perennial/internal/civil"
	"perennial/internal/customer"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/journal/journaltest"
	"perennial/internal/kinds"
	"perennial/internal/message"
	"perennial/internal/money"
	"perennial/internal/observe"
	"perennial/internal/privacy"
	"perennial/internal/settings"
	"perennial/internal/subscription"
	"perennial/internal/team"
)

// story is a coffee roaster's shop in memory that lives through every type of event there is: TestSummaries fails for a
// type that it leaves out. What it tells is made by the real rules.
type story struct {
	*journaltest.World
	t   testing.TB
	ids *id.Maker
	now time.Time
}

const (
	hash = "$argon2id$v=19$m=65536,t=1,p=4$c2FsdHNhbHRzYWx0c2FsdA$aGFzaA"

	// What is personal in the story begins with this, wherever it may begin with anything.
	personal = "Zelda"
)

var system = journal.Actor{Kind: journal.ActorSystem, ID: "test"}

func tell(t testing.TB) *story {
	s := &story{World: journaltest.NewWorld("shop_k3m8z2qa"), t: t}
	s.ids = id.NewMaker(func() time.Time { return s.now }, rand.NewChaCha8([32]byte{}))
	for _, m := range kinds.Mappings() {
		s.Fresh[m.Kind] = func(key id.ID) func() journal.State {
			return func() journal.State { return m.Fresh(key) }
		}
		s.Columns[m.Kind] = map[string]journaltest.Column{}
		for i, c := range m.Columns {
			s.Columns[m.Kind][c] = func(st journal.State) string { return fmt.Sprint(m.Values(st)[i]) }
		}
	}
	s.on("2027-02-01")
	s.settings()
	s.team()
	s.on("2027-02-10")
	s.catalogue()
	s.on("2027-02-15")
	s.customer()
	s.subscription()
	s.cancelFlow()
	s.messages()
	s.orders()
	s.failures()
	s.readers()
	s.together()
	s.privacy()
	return s
}

// on goes on to noon of a day, in UTC.
func (s *story) on(day string) {
	at, err := time.Parse(time.DateOnly, day)
	if err != nil {
		s.t.Fatal(err)
	}
	s.now = at.Add(12 * time.Hour)
}

// do runs a command that must be accepted, and gives its first event, nil when it changed nothing.
func (s *story) do(c journal.Command) *journal.Event {
	s.t.Helper()
	_, events, err := s.Run(c, s.now)
	if err != nil {
		s.t.Fatalf("%T: %v", c, err)
	}
	if len(events) == 0 {
		return nil
	}
	return events[0]
}

func (s *story) undo(e *journal.Event) *journal.Event {
	s.t.Helper()
	return s.do(journal.Bind(kinds.Undo{Event: e.ID, Actor: system}))
}

// tried does a thing and undoes it, and undoes that too.
func (s *story) tried(c journal.Command) {
	s.t.Helper()
	s.undo(s.undo(s.do(c)))
}

func usd(minor int64) money.Amount { return money.Of(minor, "USD") }

func date(s string) civil.Date {
	d, err := civil.Parse(s)
	if err != nil {
		panic(err)
	}
	return d
}

func (s *story) settings() {
	for _, d := range settings.Defaults("Harbor Coffee", "Europe/Berlin", "USD") {
		s.do(journal.Bind(settings.Update{Document: d}))
	}
	save := func(d settings.Document) { s.t.Helper(); s.tried(journal.Bind(settings.Update{Document: d})) }
	save(&settings.General{Name: "Harbor & Sons", TimeZone: "Europe/Berlin", Currency: "USD", Locale: "en"})
	save(&settings.General{Name: "Harbor & Sons", TimeZone: "Europe/Berlin", Currency: "USD", Locale: "en", SupportEmail: "help@harbor.example"})
	save(&settings.Billing{BillingHour: 6, MaxCatchUpOrders: 1, TaxBasisPoints: 770, MissedOrders: settings.MissedSkip, OutOfStock: settings.StockSkip, SmallOrders: settings.SmallFree, UpcomingDays: settings.DefaultUpcomingDays})
	save(&settings.Billing{BillingHour: 7, MaxCatchUpOrders: 1, TaxBasisPoints: 770, MissedOrders: settings.MissedSkip, OutOfStock: settings.StockSkip, SmallOrders: settings.SmallFree, UpcomingDays: settings.DefaultUpcomingDays})
	save(&settings.Billing{BillingHour: 7, MaxCatchUpOrders: 2, TaxBasisPoints: 770, CutoffDays: 2, MissedOrders: settings.MissedSkip, OutOfStock: settings.StockSkip, SmallOrders: settings.SmallFree, UpcomingDays: settings.DefaultUpcomingDays})
	save(&settings.Recovery{RetryDays: []int{1, 3}, EndAction: settings.EndPause})
	save(&settings.Recovery{RetryDays: []int{1, 3}, EndAction: settings.EndSkip})
	save(&settings.Shipping{DefaultDeliveryPrice: usd(490), Countries: []string{}})
	save(&settings.Shipping{DefaultDeliveryPrice: usd(490), Countries: []string{"DE", "FR", "US"}})
	save(&settings.Shipping{DefaultDeliveryPrice: usd(490), Countries: []string{"AT", "DE", "FR"}})
	actions := settings.PortalActions()
	save(&settings.Portal{Actions: actions[:len(actions)-2], MaxSkipsInRow: 3, MaxDaysAhead: 90})
	actions[0], actions[1] = actions[1], actions[0]
	save(&settings.Portal{Actions: actions[:len(actions)-2], MaxSkipsInRow: 3, MaxDaysAhead: 90})
	save(&settings.Portal{Actions: actions[:4], MaxSkipsInRow: 3, MaxDaysAhead: 90})
	save(&settings.Portal{Actions: append(actions[:4:4], settings.ActionOrderNow), MaxSkipsInRow: 3, MaxDaysAhead: 90})
	save(&settings.Log{NetworkRetentionMonths: 6})
}

func (s *story) team() {
	owner, guest := s.ids.New(id.TeamMember), s.ids.New(id.TeamMember)
	s.do(journal.Bind(team.FoundTeam{ID: owner, Email: "zelda.owner@harbor.example", Name: personal, PasswordHash: hash}))
	s.do(journal.Bind(team.Invite{ID: guest, Email: "zelda.guest@harbor.example", Role: team.Member, Actor: system}))
	s.do(journal.Bind(team.Join{ID: guest, Name: new(personal + " Guest"), PasswordHash: hash}))
	s.undo(s.do(journal.Bind(team.ChangeRole{ID: guest, Role: team.Admin, Actor: system})))
	own := func(list ...team.Permission) journal.Command {
		return journal.Bind(team.ChangePermissions{ID: guest, Permissions: &list, Actor: system})
	}
	s.tried(own(team.ProductsView, team.ProductsEdit))
	s.tried(own(team.ProductsView, team.PlansView))
	s.tried(own(team.ProductsView, team.PlansView, team.TeamView, team.EventsView, team.ExportsView, team.ExportsEdit, team.AnalyticsView))
	s.tried(journal.Bind(team.ChangePermissions{ID: guest, Actor: system}))
	s.tried(journal.Bind(team.ChangeProfile{ID: guest, Name: new(personal + " Fitz"), Actor: system}))
	s.tried(journal.Bind(team.ChangeProfile{ID: guest, Name: new(personal + " F."), Email: new("zelda.f@harbor.example"), Actor: system}))
	s.do(journal.Bind(team.SetPassword{ID: guest, PasswordHash: hash, Actor: system}))
	s.tried(journal.Bind(team.ChangeDefaults{Permissions: append(team.DefaultPermissions(), team.EventsView), Actor: system}))
	session := s.ids.New(id.Session)
	s.signIn(guest, session)
	s.do(journal.Bind(team.Remove{ID: guest, Actor: system}))
	refused := team.RecordDenial{Refused: session, Who: journal.Ref{Kind: journal.TeamMember, ID: guest}, Permission: team.BillingSettingsEdit, Path: "/settings/billing", Count: 1}
	s.do(journal.Bind(refused))
	refused.Count = 12
	s.do(journal.Bind(refused))

	key := s.ids.New(id.APIKey)
	s.do(journal.Bind(team.CreateKey{ID: key, Name: "Warehouse", Permissions: []team.Permission{team.EventsView}, Hash: make([]byte, 32), Actor: system}))
	s.tried(journal.Bind(team.UpdateKey{ID: key, Name: new("Warehouse in Bremen"), Actor: system}))
	s.tried(journal.Bind(team.UpdateKey{ID: key, Permissions: &[]team.Permission{team.EventsView, team.EventsEdit}, Actor: system}))
	s.do(journal.Bind(team.RevokeKey{ID: key}))
}

// signIn is everything about signing in.
func (s *story) signIn(guest, session id.ID) {
	for _, how := range []team.Method{team.ByPassword, team.ByAuthenticatorApp, team.ByRecoveryCode, team.ByPasskey, team.ByProvider, team.ByInvitation, team.BySetup} {
		s.do(journal.Bind(team.LogIn{Session: session, Member: guest, Method: how}))
	}
	for _, why := range []team.Failure{team.UnknownEmail, team.WrongPassword, team.WrongCode, team.WrongPasskey, team.WrongProvider, team.TooManyFailures} {
		s.do(journal.Bind(team.FailLogIn{Attempt: s.ids.New(id.SignIn), Email: "zelda@nowhere.example", Why: why, Count: 1}))
	}
	s.do(journal.Bind(team.FailLogIn{Attempt: s.ids.New(id.SignIn), Member: guest, Why: team.WrongPassword, Count: 7}))
	for _, why := range []team.Ending{team.SignedOut, team.SessionRevoked, team.PasswordChanged, team.MemberRemoved} {
		s.do(journal.Bind(team.EndSessions{Member: guest, Sessions: []id.ID{session}, Why: why, Actor: system}))
	}
	s.do(journal.Bind(team.MakeLink{ID: s.ids.New(id.SignIn), Member: guest, Purpose: team.ForNewPassword, ExpiresAt: s.now.Add(24 * time.Hour), Actor: system}))
	invited := s.ids.New(id.TeamMember)
	s.do(journal.Bind(team.Invite{ID: invited, Email: "zelda.invited@harbor.example", Role: team.Member, Actor: system}))
	s.do(journal.Bind(team.MakeLink{ID: s.ids.New(id.SignIn), Member: invited, Purpose: team.ForInvitation, ExpiresAt: s.now.Add(24 * time.Hour), Actor: system}))
	self := journal.Actor{Kind: journal.ActorTeamMember, ID: string(guest)}
	s.do(journal.Bind(team.EnableAuthenticator{ID: guest, Seed: []byte("seed"), Recovery: []byte("codes"), Actor: self}))
	s.do(journal.Bind(team.UseRecoveryCode{ID: guest, Left: []byte("fewer")}))
	s.do(journal.Bind(team.DisableAuthenticator{ID: guest, Actor: self}))
	passkey := s.ids.New(id.Passkey)
	s.do(journal.Bind(team.AddPasskey{ID: guest, Passkey: passkey, Credential: []byte("key"), Actor: self}))
	s.do(journal.Bind(team.RemovePasskey{ID: guest, Passkey: passkey, Actor: self}))
	both := []id.ID{guest, invited}
	for _, b := range []struct {
		mode team.BulkMode
		list []team.Permission
	}{{team.BulkAdd, []team.Permission{team.ExportsView}}, {team.BulkRemove, []team.Permission{team.ExportsView, team.TeamView}}, {team.BulkSet, []team.Permission{team.TeamView}}, {team.BulkDefaults, nil}} {
		s.do(journal.Bind(team.ChangeManyPermissions{Operation: s.ids.New(id.Operation), Members: both, Mode: b.mode, Permissions: b.list, Actor: system}))
	}
}

// The things of the catalogue that the rest of the story needs.
const (
	harbor id.ID = "prod_harbor"
	fog    id.ID = "prod_fog"
	big    id.ID = "var_1kg"
	medium id.ID = "var_500g"
	small  id.ID = "var_250g"
	decaf  id.ID = "var_decaf"
	plan   id.ID = "plan_monthly"
	group  id.ID = "grp_coffee"
)

var monthly = catalog.Policy{Interval: civil.Month, IntervalCount: 1}

func (s *story) catalogue() {
	s.do(journal.Bind(catalog.CreateProduct{ID: harbor, Title: "Harbour Blend"}))
	s.do(journal.Bind(catalog.CreateProduct{ID: fog, Title: "Fog Decaf"}))
	update := func(u catalog.UpdateProduct) { s.t.Helper(); u.ID = harbor; s.tried(journal.Bind(u)) }
	update(catalog.UpdateProduct{Title: new("Harbor Blend")})
	update(catalog.UpdateProduct{Description: new("Dark and round."), ImageURL: new("https://harbor.example/blend.jpg")})
	update(catalog.UpdateProduct{Status: new(catalog.Draft)})
	update(catalog.UpdateProduct{PortalVisible: new(false)})
	update(catalog.UpdateProduct{Upsell: new(true)})
	update(catalog.UpdateProduct{UpsellDiscount: new(15)})
	update(catalog.UpdateProduct{UpsellLimit: new(2)})
	s.do(journal.Bind(catalog.UpdateProduct{ID: harbor, Title: new("Harbor Blend"), Status: new(catalog.Active), PortalVisible: new(true)}))
	s.undo(s.do(journal.Bind(catalog.ArchiveProduct{ID: harbor})))

	for _, v := range []struct {
		id    id.ID
		of    id.ID
		title string
		price int64
		stock *int64
	}{{big, harbor, "1 kg", 6900, nil}, {medium, harbor, "500 g", 3915, new(int64(10))}, {small, harbor, "250 g", 2100, nil}, {decaf, fog, "250 g", 2250, nil}} {
		s.do(journal.Bind(catalog.CreateVariant{ID: v.id, ProductID: v.of, Title: v.title, Price: usd(v.price), Inventory: v.stock}))
	}
	s.tried(journal.Bind(catalog.UpdateVariant{ID: big, Price: new(usd(6800))}))
	s.tried(journal.Bind(catalog.UpdateVariant{ID: big, SKU: new("HB-1000")}))
	s.do(journal.Bind(catalog.UpdateVariant{ID: big, SKU: new("HB-1000")}))
	s.tried(journal.Bind(catalog.UpdateVariant{ID: big, SKU: new("")}))
	s.tried(journal.Bind(catalog.UpdateVariant{ID: big, Price: new(usd(6700)), WeightGrams: new(1000)}))
	s.do(journal.Bind(catalog.UpdateVariant{ID: medium, Inventory: catalog.Set(int64(12))}))
	s.do(journal.Bind(catalog.UpdateVariant{ID: big, Inventory: catalog.Set(int64(40))}))
	s.do(journal.Bind(catalog.UpdateVariant{ID: big, Inventory: catalog.Null[int64]()}))
	s.undo(s.do(journal.Bind(catalog.ArchiveVariant{ID: small})))

	s.do(journal.Bind(catalog.CreateGroup{ID: group, Name: "Subscribe", ProductIDs: []id.ID{harbor}}))
	s.tried(journal.Bind(catalog.UpdateGroup{ID: group, Name: new("Subscribe and save")}))
	s.tried(journal.Bind(catalog.UpdateGroup{ID: group, ProductIDs: &[]id.ID{harbor, fog}}))
	s.undo(s.do(journal.Bind(catalog.DeleteGroup{ID: group})))
	s.do(journal.Bind(catalog.CreatePlan{ID: plan, GroupID: group, Name: "Monthly", BillingPolicy: monthly}))
	s.tried(journal.Bind(catalog.UpdatePlan{ID: plan, BillingPolicy: &catalog.Policy{Interval: civil.Week, IntervalCount: 4}}))
	s.tried(journal.Bind(catalog.UpdatePlan{ID: plan, Pricing: &[]catalog.Pricing{{Kind: catalog.KindPercentage, Value: 10}}}))
	s.tried(journal.Bind(catalog.UpdatePlan{ID: plan, MaxCycles: catalog.Set(12)}))
	s.undo(s.do(journal.Bind(catalog.DeletePlan{ID: plan})))

	welcome, five := s.ids.New(id.Discount), s.ids.New(id.Discount)
	s.do(journal.Bind(catalog.CreateDiscount{ID: welcome, Code: "WELCOME10", Kind: catalog.KindPercentage, Value: 10}))
	s.do(journal.Bind(catalog.CreateDiscount{ID: five, Code: "FIVER", Kind: catalog.KindAmount, Value: 500}))
	s.tried(journal.Bind(catalog.UpdateDiscount{ID: five, EndsAt: catalog.Set(s.now.AddDate(1, 0, 0))}))
	s.tried(journal.Bind(catalog.UpdateDiscount{ID: five, MaxRedemptions: catalog.Set(100), MaxCycles: catalog.Set(3)}))
	s.undo(s.do(journal.Bind(catalog.DeactivateDiscount{ID: five})))
}

const (
	zelda      id.ID = "cus_zelda"
	zeldaEmail       = "zelda@example.com"
	home       id.ID = "addr_home"
	work       id.ID = "addr_work"
	visa       id.ID = "pm_visa"
	master     id.ID = "pm_master"
)

func (s *story) customer() {
	s.do(journal.Bind(customer.Create{ID: zelda, Email: "zelda@old.example", FirstName: personal, LastName: "Zeldason", Locale: "en"}))
	update := func(u customer.UpdateProfile) { s.t.Helper(); u.ID = zelda; s.tried(journal.Bind(u)) }
	update(customer.UpdateProfile{Email: new(zeldaEmail)})
	update(customer.UpdateProfile{FirstName: new(personal + " Ann")})
	update(customer.UpdateProfile{FirstName: new(personal + " Bea"), Phone: new("+49 Zelda")})
	update(customer.UpdateProfile{Locale: new("de")})
	update(customer.UpdateProfile{Tags: &[]string{"vip", "wholesale"}})
	s.do(journal.Bind(customer.UpdateProfile{ID: zelda, Email: new(zeldaEmail), Tags: &[]string{"vip"}}))
	address := func(key id.ID, country string) {
		s.do(journal.Bind(customer.AddAddress{ID: key, CustomerID: zelda, Fields: customer.AddressFields{
			LastName: new("Zeldason"), Line1: new("Zelda Street 1"), City: new("Zeldaville"), Country: &country}}))
	}
	address(home, "DE")
	address(work, "FR")
	address("addr_old", "US")
	s.tried(journal.Bind(customer.UpdateAddress{ID: work, CustomerID: zelda, Fields: customer.AddressFields{City: new("Zeldatown")}}))
	s.tried(journal.Bind(customer.UpdateAddress{ID: work, CustomerID: zelda, Fields: customer.AddressFields{Country: new("DE")}}))
	s.tried(journal.Bind(customer.UpdateAddress{ID: work, CustomerID: zelda, Fields: customer.AddressFields{
		FirstName: new(personal), Line1: new("Zelda Lane 2"), Line2: new("Zelda"), City: new("Zelda"), PostalCode: new("Zelda 1"), Phone: new("Zelda 2")}}))
	s.undo(s.do(journal.Bind(customer.RemoveAddress{ID: "addr_old", CustomerID: zelda})))
	s.tried(journal.Bind(customer.SetDefaultAddress{CustomerID: zelda, AddressID: "addr_old"}))
	s.do(journal.Bind(customer.SetDefaultAddress{CustomerID: zelda, AddressID: "addr_old"}))
	s.do(journal.Bind(customer.RemoveAddress{ID: "addr_old", CustomerID: zelda})) // was the default
	s.do(journal.Bind(customer.SetDefaultAddress{CustomerID: zelda, AddressID: home}))

	method := func(key id.ID, brand string, month, year int) {
		s.do(journal.Bind(customer.AddPaymentMethod{ID: key, CustomerID: zelda, Gateway: "simulated", Fields: customer.PaymentMethodFields{
			GatewayReference: new("zelda_ref"), Brand: &brand, Last4: new("4242"), ExpMonth: &month, ExpYear: &year}}))
	}
	method(visa, "visa", 4, 2029)
	method(master, "mastercard", 0, 0)
	method("pm_soon", "visa", 3, 2027)
	s.do(journal.Bind(customer.NoteExpiry{ID: "pm_soon", CustomerID: zelda}))
	s.do(journal.Bind(customer.RemovePaymentMethod{ID: "pm_soon", CustomerID: zelda}))
	method("pm_old", "", 0, 0)
	s.tried(journal.Bind(customer.UpdatePaymentMethod{ID: visa, CustomerID: zelda, Fields: customer.PaymentMethodFields{ExpYear: new(2031)}}))
	s.tried(journal.Bind(customer.UpdatePaymentMethod{ID: visa, CustomerID: zelda, Fields: customer.PaymentMethodFields{Last4: new("4343")}}))
	s.undo(s.do(journal.Bind(customer.RemovePaymentMethod{ID: "pm_old", CustomerID: zelda})))
	s.undo(s.do(journal.Bind(customer.SetDefaultPaymentMethod{CustomerID: zelda, PaymentMethodID: master})))
	s.tried(journal.Bind(customer.SetBackupPaymentMethod{CustomerID: zelda, PaymentMethodID: master}))
	s.do(journal.Bind(customer.SetBackupPaymentMethod{CustomerID: zelda, PaymentMethodID: master}))
	s.do(journal.Bind(customer.SetBackupPaymentMethod{CustomerID: zelda}))
	s.do(journal.Bind(customer.PortalLink{CustomerID: zelda, SignInID: s.ids.New(id.SignIn), ExpiresAt: s.now.Add(15 * time.Minute)}))
	s.do(journal.Bind(customer.SendCode{CustomerID: zelda, SignInID: s.ids.New(id.SignIn), ExpiresAt: s.now.Add(10 * time.Minute)}))
	for _, why := range []string{"wrong", "expired", "used", "too_many"} {
		s.do(journal.Bind(customer.RejectCode{CustomerID: zelda, SignInID: s.ids.New(id.SignIn), Why: why}))
	}
	for _, how := range []customer.Method{customer.ByCode, customer.ByLink, customer.ByTheTeam} {
		s.do(journal.Bind(customer.LogIn{CustomerID: zelda, Session: s.ids.New(id.Session), Method: how}))
	}
	for _, why := range []string{"signed_out", "revoked"} {
		s.do(journal.Bind(customer.EndSessions{CustomerID: zelda, Sessions: []id.ID{s.ids.New(id.Session)}, Why: why}))
	}
	s.do(journal.Bind(customer.RequestData{CustomerID: zelda, RequestID: s.ids.New(id.Request)}))
}

// sub is the subscription that the story follows: first billed on 3 March 2027.
const sub id.ID = "sub_01k3m8qt"

func (s *story) create(key id.ID, items ...subscription.NewItem) {
	s.t.Helper()
	s.do(journal.Bind(subscription.Create{ID: key, CustomerID: zelda, BillingPolicy: &monthly, NextBillingDate: new(date("2027-03-03")), Items: items}))
}

func (s *story) subscription() {
	s.create(sub, subscription.NewItem{ID: "item_1", VariantID: big, Quantity: 1}, subscription.NewItem{ID: "item_2", VariantID: medium, Quantity: 2})
	s.undo(s.undo(s.do(journal.Bind(subscription.Pause{ID: sub, Until: new(date("2027-03-20"))}))))
	s.tried(journal.Bind(subscription.Resume{ID: sub}))
	s.undo(s.do(journal.Bind(subscription.Pause{ID: sub})))
	s.tried(journal.Bind(subscription.Cancel{ID: sub, Reason: personal + " moves away"}))
	s.tried(journal.Bind(subscription.Reactivate{ID: sub}))

	s.tried(journal.Bind(subscription.Skip{ID: sub}))
	s.tried(journal.Bind(subscription.Unskip{ID: sub, Date: date("2027-03-03")}))
	s.undo(s.do(journal.Bind(subscription.Reschedule{ID: sub, Date: date("2027-03-10")})))
	s.undo(s.do(journal.Bind(subscription.Reschedule{ID: sub, Date: date("2028-01-10"), NewRhythm: true})))
	s.undo(s.do(journal.Bind(subscription.ChangeFrequency{ID: sub, Interval: civil.Week, IntervalCount: 2})))
	s.tried(journal.Bind(subscription.GiftOrder{ID: sub, Date: date("2027-04-03"), Message: "For " + personal,
		Address: subscription.GiftAddress{LastName: "Zelda", Line1: "Zelda Square 3", City: "Zeldaville", Country: "DE"}}))

	s.tried(journal.Bind(subscription.AddItem{ID: sub, Item: subscription.NewItem{ID: "item_3", VariantID: decaf, Quantity: 2}}))
	s.tried(journal.Bind(subscription.RemoveItem{ID: sub, ItemID: "item_3"}))
	s.tried(journal.Bind(subscription.AddItem{ID: sub, Item: subscription.NewItem{ID: "item_4", VariantID: small, Quantity: 1, OneTime: true}}))
	s.tried(journal.Bind(subscription.RemoveItem{ID: sub, ItemID: "item_4"}))
	s.undo(s.do(journal.Bind(subscription.ChangeItem{ID: sub, ItemID: "item_1", Quantity: new(2)})))
	s.undo(s.do(journal.Bind(subscription.ChangeItem{ID: sub, ItemID: "item_2", UnitPrice: new(usd(3524))})))
	s.undo(s.do(journal.Bind(subscription.SwapItem{ID: sub, ItemID: "item_2", VariantID: decaf})))
	s.undo(s.do(journal.Bind(subscription.SwapItem{ID: sub, ItemID: "item_2", VariantID: decaf, Quantity: new(3)})))

	s.undo(s.do(journal.Bind(subscription.ChangeShippingAddress{ID: sub, AddressID: work})))
	s.undo(s.do(journal.Bind(subscription.ChangePaymentMethod{ID: sub, PaymentMethodID: master})))
	s.undo(s.do(journal.Bind(subscription.ChangeBackupPaymentMethod{ID: sub, PaymentMethodID: master})))
	s.do(journal.Bind(subscription.ChangeBackupPaymentMethod{ID: sub, PaymentMethodID: master}))
	s.do(journal.Bind(subscription.ChangeBackupPaymentMethod{ID: sub, PaymentMethodID: "pm_old"}))
	s.do(journal.Bind(subscription.ChangeBackupPaymentMethod{ID: sub}))
	s.undo(s.do(journal.Bind(subscription.ChangeDeliveryPrice{ID: sub, Price: usd(0)})))
	s.tried(journal.Bind(subscription.ApplyDiscount{ID: sub, Code: "WELCOME10"}))
	s.do(journal.Bind(subscription.ApplyDiscount{ID: sub, Code: "fiver"}))
	s.tried(journal.Bind(subscription.RemoveDiscount{ID: sub, Code: "WELCOME10"}))
	s.undo(s.do(journal.Bind(subscription.ChangeNote{ID: sub, Note: "Ring " + personal})))
	s.undo(s.do(journal.Bind(subscription.ChangeAttributes{ID: sub, Attributes: map[string]string{"Grind": personal}})))
	s.do(journal.Bind(subscription.ChangeNote{ID: sub, Note: "Ring " + personal}))

	other, split := s.ids.New(id.Subscription), s.ids.New(id.Subscription)
	s.create(other, subscription.NewItem{ID: "item_5", VariantID: small, Quantity: 3}, subscription.NewItem{ID: "item_6", VariantID: decaf, Quantity: 1})
	s.do(journal.Bind(subscription.Split{ID: other, NewID: split, ItemIDs: []id.ID{"item_6"}}))
	s.do(journal.Bind(subscription.Merge{ID: split, Into: other, ItemIDs: []id.ID{"item_7"}}))
	s.do(journal.Bind(subscription.Cancel{ID: other}))
}

// cancelFlow is a flow with its reasons, and what subscribers do in it.
func (s *story) cancelFlow() {
	save := func(enabled bool, days int) {
		s.tried(journal.Bind(settings.Update{Document: &settings.CancelFlow{Enabled: enabled, DiscountCooldownDays: days}}))
	}
	s.do(journal.Bind(settings.Update{Document: &settings.CancelFlow{Enabled: true, DiscountCooldownDays: 180}}))
	save(false, 180)
	save(true, 90)
	flow, dear, much, taste := s.ids.New(id.CancelFlow), s.ids.New(id.CancelReason), s.ids.New(id.CancelReason), s.ids.New(id.CancelReason)
	s.do(journal.Bind(cancelflow.CreateFlow{ID: flow, Fields: cancelflow.FlowFields{Name: new("Coffee lovers")}}))
	s.tried(journal.Bind(cancelflow.UpdateFlow{ID: flow, Fields: cancelflow.FlowFields{Status: new(cancelflow.Active)}}))
	s.tried(journal.Bind(cancelflow.UpdateFlow{ID: flow, Fields: cancelflow.FlowFields{Weight: new(3), Audience: &cancelflow.Audience{MinDays: 0, MaxDays: 400}}}))
	s.do(journal.Bind(cancelflow.UpdateFlow{ID: flow, Fields: cancelflow.FlowFields{Status: new(cancelflow.Active)}}))
	add := func(key, parent id.ID, label string, offers ...cancelflow.Offer) {
		s.do(journal.Bind(cancelflow.CreateReason{ID: key, FlowID: flow, ParentID: parent, Fields: cancelflow.ReasonFields{Label: &label, Offers: &offers}}))
	}
	add(dear, "", "Too expensive", cancelflow.Offer{Kind: cancelflow.OfferDiscount, Code: "WELCOME10"}, cancelflow.Offer{Kind: cancelflow.OfferFrequency, Interval: civil.Month, IntervalCount: 2})
	add(much, "", "Too much coffee", cancelflow.Offer{Kind: cancelflow.OfferSkip}, cancelflow.Offer{Kind: cancelflow.OfferPause, Days: 30}, cancelflow.Offer{Kind: cancelflow.OfferTalk})
	add(taste, much, "It went stale", cancelflow.Offer{Kind: cancelflow.OfferGift, VariantID: small}, cancelflow.Offer{Kind: cancelflow.OfferSwap, VariantID: decaf})
	s.tried(journal.Bind(cancelflow.UpdateReason{ID: dear, Fields: cancelflow.ReasonFields{Label: new("It costs too much")}}))
	key := s.ids.New(id.Subscription)
	s.create(key, subscription.NewItem{ID: "item_8", VariantID: big, Quantity: 1})
	begin := func() id.ID {
		session := s.ids.New(id.CancelSession)
		s.do(journal.Bind(cancelflow.Start{ID: session, SubscriptionID: key}))
		return session
	}
	choose := func(session, reason id.ID) {
		s.do(journal.Bind(cancelflow.Choose{Session: session, ReasonID: reason}))
	}
	s.do(journal.Bind(cancelflow.Keep{Session: begin()}))
	session := begin()
	choose(session, dear)
	choose(session, taste)
	s.do(cancelflow.Accept{Session: session, Offer: 1})
	session = begin()
	choose(session, much)
	s.do(cancelflow.Accept{Session: session, Offer: 1})
	session = begin()
	choose(session, much)
	s.do(cancelflow.Complete{Session: session})
	s.do(journal.Bind(subscription.Reactivate{ID: key}))
	s.do(cancelflow.Complete{Session: begin()})
	s.tried(journal.Bind(cancelflow.DeleteReason{ID: dear}))
	s.tried(journal.Bind(cancelflow.DeleteFlow{ID: flow}))
}

// messages are changed, switched off and on, and sent.
func (s *story) messages() {
	s.do(journal.Bind(message.Disable{Name: message.Paused}))
	s.tried(journal.Bind(message.Enable{Name: message.Paused}))
	s.tried(journal.Bind(message.UpdateText{Name: message.Paused, Text: message.Text{Language: "de", Subject: "Pause", Body: "Bis bald."}}))
	s.do(journal.Bind(message.Enable{Name: message.Paused}))
	s.tried(journal.Bind(message.Disable{Name: message.Paused}))
	s.do(journal.Bind(message.Record{ID: s.ids.New(id.Message), Name: message.Paused, Language: "de", Customer: zelda, About: []journal.Ref{{Kind: journal.Subscription, ID: sub}}}))
	s.do(journal.Bind(message.Record{ID: s.ids.New(id.Message), Name: message.Paused, Language: "de", Customer: zelda, Tries: 6}))
	for _, action := range []string{"skip", "reschedule", "reactivate", "pay"} {
		s.do(customer.QuickAction{Message: s.ids.New(id.Message), CustomerID: zelda, Action: action})
	}
	s.do(customer.QuickAction{Message: s.ids.New(id.Message), CustomerID: zelda, Action: "skip", Do: journal.Bind(subscription.ChangeNote{ID: sub, Note: "Knock " + personal})})
}

// due makes the next order of a subscription, whose number in the story is n.
func (s *story) due(key id.ID, n int) {
	s.t.Helper()
	s.do(journal.Bind(billing.CreateOrder{SubscriptionID: key, OrderID: orderID(n), AttemptID: attemptID(n, 1), Due: civil.Today(s.now, time.UTC)}))
}

func (s *story) answer(n, attempt int, r billing.Result, code, message string) {
	s.t.Helper()
	s.do(journal.Bind(billing.FinishAttempt{OrderID: orderID(n), AttemptID: attemptID(n, attempt), Result: r, Code: code, Message: message, GatewayID: "ch_" + string(attemptID(n, attempt))}))
}

func orderID(n int) id.ID            { return id.ID(fmt.Sprintf("ord_%02d", n)) }
func attemptID(n, attempt int) id.ID { return id.ID(fmt.Sprintf("att_%02d_%d", n, attempt)) }

func (s *story) orders() {
	s.on("2027-03-03")
	s.due(sub, 1)
	s.do(journal.Bind(billing.DelayAttempt{OrderID: orderID(1), AttemptID: attemptID(1, 1), Code: "account_invalid"}))
	s.answer(1, 1, billing.ActionRequired, "authentication_required", "The bank asks the customer.")
	s.answer(1, 1, billing.Succeeded, "", "")
	s.do(journal.Bind(billing.Refund{OrderID: orderID(1), Amount: new(usd(500)), Reason: personal + " got a torn bag"}))
	s.do(journal.Bind(billing.FinishRepayment{OrderID: orderID(1), Number: "001", Code: "charge_unknown"}))
	s.do(journal.Bind(billing.Refund{OrderID: orderID(1), Amount: new(usd(500)), Reason: personal + " got a torn bag"}))
	for _, status := range []string{billing.DisputeOpen, billing.DisputeWon} {
		s.do(journal.Bind(billing.RecordDispute{OrderID: orderID(1), DisputeID: "dp_1", Amount: usd(500), Reason: "product_not_received", Status: status}))
	}
	s.do(journal.Bind(billing.RecordDispute{OrderID: orderID(1), DisputeID: "dp_2", Amount: usd(500), Reason: "fraudulent", Status: billing.DisputeLost}))
	s.do(journal.Bind(billing.FinishRepayment{OrderID: orderID(1), Number: "002", Succeeded: true, GatewayID: "re_1"}))
	s.differences(orderID(1))
	s.do(journal.Bind(billing.Fulfil{OrderID: orderID(1), TrackingURL: "https://parcels.example/zelda"}))
	s.do(journal.Bind(billing.OrderNow{SubscriptionID: sub, OrderID: orderID(2), AttemptID: attemptID(2, 1)}))
	s.answer(2, 1, billing.Declined, "insufficient_funds", "")

	for n, accept := range []bool{true, false} {
		n += 91
		s.do(journal.Bind(billing.OrderNow{SubscriptionID: sub, OrderID: orderID(n), AttemptID: attemptID(n, 1)}))
		s.do(journal.Bind(billing.NoteOtherCharge{OrderID: orderID(n), AttemptID: attemptID(n, 1), GatewayID: fmt.Sprintf("pi_odd%d", n), Amount: usd(99)}))
		s.do(journal.Bind(billing.EndOtherCharge{OrderID: orderID(n), Accept: accept}))
	}
	last := s.ids.New(id.Subscription)
	once := monthly
	once.MaxCycles = new(1)
	s.do(journal.Bind(subscription.Create{ID: last, CustomerID: zelda, BillingPolicy: &once, NextBillingDate: new(date("2027-03-03")),
		Items: []subscription.NewItem{{ID: "item_8", VariantID: big, Quantity: 1}}}))
	s.due(last, 3)
	s.answer(3, 1, billing.Succeeded, "", "")

	small := s.ids.New(id.Subscription)
	s.do(journal.Bind(subscription.Create{ID: small, CustomerID: zelda, BillingPolicy: &monthly, NextBillingDate: new(date("2027-03-03")),
		Items: []subscription.NewItem{{ID: "item_95", VariantID: big, Quantity: 1}}}))
	for _, rule := range []string{settings.SmallCarry, settings.SmallFree} {
		b := journal.Clone(s.States[journal.Ref{Kind: journal.Settings, ID: settings.PageBilling}].(*settings.Billing))
		b.SmallOrders = rule
		s.do(journal.Bind(settings.Update{Document: b}))
		if rule == settings.SmallCarry {
			s.due(small, 95)
			s.answer(95, 1, billing.Declined, "amount_too_small", "")
		}
	}
	s.do(journal.Bind(subscription.Cancel{ID: small}))
}

func (s *story) failures() {
	s.on("2027-04-03")
	s.due(sub, 4)
	s.answer(4, 1, billing.Declined, "card_declined", "Your card was declined.")
	s.on("2027-04-04")
	s.do(journal.Bind(billing.RetryOrder{OrderID: orderID(4), AttemptID: attemptID(4, 2), Today: date("2027-04-04")}))
	s.answer(4, 2, billing.Succeeded, "", "")
	s.on("2027-05-03")
	s.due(sub, 5)
	s.answer(5, 1, billing.Declined, "card_declined", "Your card was declined.")
	for i, day := range []string{"2027-05-04", "2027-05-06"} {
		s.on(day)
		s.do(journal.Bind(billing.RetryOrder{OrderID: orderID(5), AttemptID: attemptID(5, i+2), Today: date(day)}))
		s.answer(5, i+2, billing.Declined, "card_declined", "Your card was declined.")
	}
	s.on("2027-06-03")
	s.due(sub, 6)
	s.do(journal.Bind(billing.FinishAttempt{OrderID: orderID(6), AttemptID: attemptID(6, 1), Result: billing.Declined, Code: "lost_card", Message: "The card was reported lost.", Hard: true}))
	s.do(journal.Bind(billing.CancelOrder{OrderID: orderID(6)}))
	s.do(journal.Bind(catalog.UpdateVariant{ID: medium, Inventory: catalog.Set(int64(1))}))
	s.on("2027-07-03")
	s.due(sub, 7) // out of stock
	s.do(journal.Bind(settings.Update{Document: &settings.Billing{BillingHour: 7, MaxCatchUpOrders: 2, TaxBasisPoints: 770, CutoffDays: 2, MissedOrders: settings.MissedSkip, OutOfStock: settings.StockHold, SmallOrders: settings.SmallFree, UpcomingDays: settings.DefaultUpcomingDays}}))
	s.on("2027-08-03")
	s.due(sub, 8)
	s.prepaid()
	s.do(journal.Bind(billing.CaughtUp{Shop: s.Shop, Since: date("2027-08-01"), Subscriptions: 2, Made: 1, Skipped: 3}))
	for _, open := range []int{0, 2} {
		s.do(journal.Bind(billing.Reconciled{Shop: s.Shop, From: date("2027-07-31"), To: date("2027-08-02"), Charges: 7, Refunds: 1, Foreign: 3, Open: open}))
	}
}

// differences is what an order and the gateway's books can disagree about.
func (s *story) differences(order id.ID) {
	books := billing.Books{From: s.now.Add(-24 * time.Hour), To: s.now.Add(24 * time.Hour), Charges: []billing.Moved{
		{ID: "ch_1", Key: string(attemptID(1, 1)), Amount: usd(7), At: s.now}, {ID: "ch_2", Key: "att_other", Amount: usd(500), At: s.now},
	}, Refunds: []billing.Moved{{ID: "re_9", ChargeID: "ch_1", Amount: usd(3), At: s.now}}}
	s.do(journal.Bind(billing.Reconcile{OrderID: order, Books: books}))
	books.Charges, books.Refunds = nil, nil
	s.do(journal.Bind(billing.Reconcile{OrderID: order, Books: books}))
}

// prepaid is a subscription whose orders pay for two deliveries.
func (s *story) prepaid() {
	plan := s.ids.New(id.SellingPlan)
	two := monthly
	two.IntervalCount = 2
	s.do(journal.Bind(catalog.CreatePlan{ID: plan, GroupID: group, Name: "Two at once", BillingPolicy: two, DeliveryPolicy: &monthly}))
	key := s.ids.New(id.Subscription)
	s.do(journal.Bind(subscription.Create{ID: key, CustomerID: zelda, SellingPlanID: plan, NextBillingDate: new(date("2027-08-03")), Items: []subscription.NewItem{{ID: "item_9", VariantID: big, Quantity: 1}}}))
	s.due(key, 9)
	s.answer(9, 1, billing.Succeeded, "", "")
	for _, parcel := range []string{"https://parcels.example/9a", "https://parcels.example/9b"} {
		s.do(journal.Bind(billing.Fulfil{OrderID: orderID(9), TrackingURL: parcel}))
	}
}

func (s *story) readers() {
	for _, l := range []observe.Log{{Name: "activity"}, {Name: "customer", Customer: zelda}, {Name: "subscription", Customer: zelda, Subscription: sub}, {Name: "explorer"}} {
		s.do(journal.Bind(observe.ViewLog{Log: l}))
		s.do(journal.Bind(observe.ExportLog{Log: l, Format: "csv", Filter: jsontext.Value(`{"type":["order.*"]}`)}))
	}
	for _, g := range []observe.FindGap{{By: observe.ByReading, Hidden: []int64{7}}, {By: observe.ByReading, Hidden: []int64{7, 8, 9, 10, 11, 12, 13}, Unreadable: []int64{14}}, {By: observe.ByCheck, Unreadable: []int64{5, 6}}} {
		s.do(journal.Bind(g))
	}
	for _, v := range []observe.Verification{{Result: observe.Holds, Entries: 1234, Changes: 1200, Root: "00ff"}, {Result: observe.Differs, Entries: 1234, Differences: 2, Problem: observe.Problem{Seq: 7, ID: "sub_x", Field: "status"}}, {Result: observe.Unfinished}} {
		s.do(journal.Bind(v))
	}
	for _, v := range []string{customer.RevealName, customer.RevealEmail, customer.RevealPhone} {
		s.do(journal.Bind(customer.Reveal{CustomerID: zelda, RequestID: s.ids.New(id.Job), Value: v}))
	}
	s.do(journal.Bind(customer.Reveal{CustomerID: zelda, RequestID: s.ids.New(id.Job), Value: customer.RevealAddress, AddressID: home}))
	s.do(journal.Bind(privacy.ExpireNetwork{Shop: "shop_k3m8z2qa", Month: "2025-03"}))
	operator := observe.Operator{By: "mara", Because: "the disk of the old server is gone"}
	s.do(journal.Bind(observe.NoticeRestore{Shop: s.Shop, Since: journal.At(s.now), Charges: 3, First: "pi_9"}))
	s.do(journal.Bind(observe.AcceptRestore{Shop: s.Shop, Found: "database_behind", Ours: 4711, Signed: 5012, Root: "kz8=", Since: journal.At(s.now), Operator: operator}))
	s.do(journal.Bind(observe.AcceptClock{Shop: s.Shop, Last: journal.At(s.now.AddDate(0, -2, 0)), Says: journal.At(s.now), Operator: operator}))
	live := observe.Account{Gateway: "stripe", ID: "acct_1Q", Mode: "live"}
	s.do(journal.Bind(observe.ConnectGateway{Shop: s.Shop, Account: observe.Account{Gateway: "simulated", ID: "sim_1", Mode: "test"}}))
	s.do(journal.Bind(observe.ConnectGateway{Shop: s.Shop, Account: live, Was: observe.Account{Gateway: "simulated", ID: "sim_1", Mode: "test"}, Operator: operator}))
	s.do(journal.Bind(observe.ConnectGateway{Shop: s.Shop, Account: live, Was: observe.Account{Gateway: "stripe", ID: "acct_1R", Mode: "test"}, Operator: operator}))
	s.do(journal.Bind(observe.Move{Shop: "shop_k3m8z2qa", To: "postgres://db.example/shop", Entries: 12_481}))
	s.do(journal.Bind(observe.External{Source: "help-desk", Type: "external.ticket_opened", Summary: "A ticket about a torn bag was opened", Details: jsontext.Value(`{"text":"Zelda"}`)}))
	s.do(journal.Bind(observe.External{Source: "help-desk", Type: "external.ticket_closed"}))
}

// together changes several products at once.
func (s *story) together() {
	for _, setting := range []catalog.ProductSetting{catalog.SettingHidden, catalog.SettingShown, catalog.SettingOffered, catalog.SettingNotOffered} {
		s.do(journal.Bind(catalog.ChangeManyProducts{Operation: s.ids.New(id.Operation), Products: []id.ID{harbor, fog}, Setting: setting}))
	}
	spare := s.ids.New(id.Product)
	s.do(journal.Bind(catalog.CreateProduct{ID: spare, Title: "Leftovers"}))
	s.do(journal.Bind(catalog.ChangeManyProducts{Operation: s.ids.New(id.Operation), Products: []id.ID{spare}, Setting: catalog.SettingArchived}))
}

func (s *story) privacy() {
	s.do(journal.Bind(privacy.Redact{CustomerID: zelda, ConfirmEmail: zeldaEmail}))
	s.do(journal.Bind(customer.NoteGatewayErasureFailed{ID: zelda, Code: "no_answer"}))
	s.do(journal.Bind(customer.NoteGatewayErased{ID: zelda, Customers: 1, Elsewhere: []string{"stripe"}}))
}
