package notify_test

import (
	"io"
	"mime/quotedprintable"
	"strings"
	"testing"
	"time"

	"perennial/internal/billing"
	"perennial/internal/customer"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/program"
	"perennial/internal/settings"
	"perennial/internal/subscription"
)

// words is the text of a letter, with its lines put together.
func words(t *testing.T, letter string) string {
	t.Helper()
	b, err := io.ReadAll(quotedprintable.NewReader(strings.NewReader(letter)))
	if err != nil && len(b) == 0 {
		t.Fatal(err)
	}
	return string(b)
}

// TestWhatComesAfterAFailedPayment promises another try only when there is one, and a new card's way only when one is needed.
func TestWhatComesAfterAFailedPayment(t *testing.T) {
	w := newWorld(t)
	w.Do(journal.Bind(customer.AddPaymentMethod{ID: w.IDs.New(id.PaymentMethod), CustomerID: w.ada, Gateway: "simulated", Fields: customer.PaymentMethodFields{
		GatewayReference: new("sim_declined"), Brand: new("visa"), Last4: new("0341"), ExpMonth: new(12), ExpYear: new(2040)}}))
	w.Do(journal.Bind(settings.Update{Document: &settings.Recovery{RetryDays: []int{1}, EndAction: settings.EndPause}}))
	w.run()
	told := func() string {
		t.Helper()
		before := len(w.post.letters())
		w.run()
		for _, l := range w.post.letters()[before:] {
			if text := words(t, l); strings.Contains(text, "hat nicht geklappt") {
				return text
			}
		}
		t.Fatalf("nothing is told: %q", w.post.letters()[before:])
		return ""
	}
	w.pass(31 * 24 * time.Hour) // to the day of the first order
	s, err := journal.Get[subscription.Subscription](program.NewReader(t.Context(), w.Store, w.Store.Read), journal.Subscription, w.sub)
	if err != nil {
		t.Fatal(err)
	}
	order, attempt := w.IDs.New(id.Order), w.IDs.New(id.BillingAttempt)
	w.Do(journal.Bind(billing.CreateOrder{SubscriptionID: w.sub, OrderID: order, AttemptID: attempt, Due: *s.NextBillingDate}))
	w.Do(journal.Bind(billing.FinishAttempt{OrderID: order, AttemptID: attempt, Result: billing.Declined, Code: "insufficient_funds"}))
	if text := told(); !strings.Contains(text, "Wir versuchen es am 4. April 2027 noch einmal.") || !strings.Contains(text, "Ihrer Karte Visa 0341") || !strings.Contains(text, "quick/pay") {
		t.Errorf("after the first try:\n%s", text)
	}
	w.pass(24 * time.Hour)
	attempt = w.IDs.New(id.BillingAttempt)
	w.Do(journal.Bind(billing.RetryOrder{OrderID: order, AttemptID: attempt, Today: s.NextBillingDate.AddDays(1)}))
	w.Do(journal.Bind(billing.FinishAttempt{OrderID: order, AttemptID: attempt, Result: billing.Declined, Code: "insufficient_funds"}))
	if text := told(); !strings.Contains(text, "Wir versuchen es nicht noch einmal") || strings.Contains(text, "quick/pay") {
		t.Errorf("after the last try:\n%s", text)
	}
}

// TestSilentPhase writes of no failure in it, the first one included, of every one after it, and of a new card that is needed at any time.
func TestSilentPhase(t *testing.T) {
	for name, tt := range map[string]struct {
		hard bool
		want []int // letters after the first, the second, … failure
	}{
		"soft": {want: []int{0, 0, 1}},
		"hard": {hard: true, want: []int{1}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.Do(journal.Bind(customer.AddPaymentMethod{ID: w.IDs.New(id.PaymentMethod), CustomerID: w.ada, Gateway: "simulated", Fields: customer.PaymentMethodFields{
				GatewayReference: new("sim_declined"), Brand: new("visa"), Last4: new("0341"), ExpMonth: new(12), ExpYear: new(2040)}}))
			set := func(first, second bool) {
				w.Do(journal.Bind(settings.Update{Document: &settings.Recovery{EndAction: settings.EndPause, Phases: []settings.RecoveryPhase{
					{Attempts: 1, IntervalDays: 1, Silent: first}, {Attempts: 2, IntervalDays: 2, Silent: second}}}}))
			}
			set(true, false)
			w.run()
			w.pass(31 * 24 * time.Hour) // to the day of the first order
			due := settings.Today(&settings.General{TimeZone: "Europe/Berlin"}, w.clock())
			order, attempt := w.IDs.New(id.Order), w.IDs.New(id.BillingAttempt)
			w.Do(journal.Bind(billing.CreateOrder{SubscriptionID: w.sub, OrderID: order, AttemptID: attempt, Due: due}))
			for i, want := range tt.want {
				before := len(w.post.letters())
				w.Do(journal.Bind(billing.FinishAttempt{OrderID: order, AttemptID: attempt, Result: billing.Declined, Code: "insufficient_funds", Hard: tt.hard}))
				w.run()
				if got := w.post.letters()[before:]; len(got) != want {
					t.Errorf("failure %d: %d letters, want %d: %q", i+1, len(got), want, got)
				}
				if i+1 == len(tt.want) {
					break
				}
				set(false, true) // the case keeps what it began with
				days := []int{1, 2}[i]
				w.pass(time.Duration(days) * 24 * time.Hour)
				due = due.AddDays(days)
				attempt = w.IDs.New(id.BillingAttempt)
				w.Do(journal.Bind(billing.RetryOrder{OrderID: order, AttemptID: attempt, Today: due}))
			}
		})
	}
}

// TestWithoutACard waits for one.
func TestWithoutACard(t *testing.T) {
	w := newWorld(t)
	w.run()
	w.pass(31 * 24 * time.Hour)
	before := len(w.post.letters())
	order := w.IDs.New(id.Order)
	w.Do(journal.Bind(billing.CreateOrder{SubscriptionID: w.sub, OrderID: order, AttemptID: w.IDs.New(id.BillingAttempt), Due: settings.Today(&settings.General{TimeZone: "Europe/Berlin"}, w.clock())}))
	w.run()
	letters := w.post.letters()[before:]
	if len(letters) != 1 {
		t.Fatalf("%d letters: %q", len(letters), letters)
	}
	if text := words(t, letters[0]); !strings.Contains(text, "sobald Sie uns eine Karte geben, längstens bis zum 10. April 2027.") || !strings.Contains(text, "Wir haben keine Karte von Ihnen") || strings.Contains(text, "Ihre Karte") || strings.Contains(text, "Ihrer Karte") || strings.Contains(text, "quick/pay") {
		t.Errorf("got\n%s", text)
	}
}

// TestIfNotYou tells whom to tell, where the store says it.
func TestIfNotYou(t *testing.T) {
	w := newWorld(t)
	w.run()
	address := func(contact string) string {
		t.Helper()
		general, err := journal.Get[settings.General](program.NewReader(t.Context(), w.Store, w.Store.Read), journal.Settings, settings.PageGeneral)
		if err != nil {
			t.Fatal(err)
		}
		with := *general
		with.SupportEmail = contact
		w.Do(journal.Bind(settings.Update{Document: &with}))
		key := w.IDs.New(id.Address)
		w.Do(journal.Bind(customer.AddAddress{ID: key, CustomerID: w.ada, Fields: customer.AddressFields{Line1: new("1 Kai"), City: new("Kiel"), PostalCode: new("24103"), Country: new("DE")}}))
		w.Do(journal.Bind(subscription.ChangeShippingAddress{ID: w.sub, AddressID: key}))
		before := len(w.post.letters())
		w.run()
		if n := len(w.post.letters()) - before; n != 1 {
			t.Fatalf("%d letters", n)
		}
		return words(t, w.post.letters()[before])
	}
	if text := address(""); !strings.Contains(text, "Falls Sie das nicht waren, sehen Sie sich Ihr Abonnement bitte sofort an.") {
		t.Errorf("without an address:\n%s", text)
	}
	if text := address("help@harbor.example"); !strings.Contains(text, "sagen Sie uns bitte sofort Bescheid (help@harbor.example).") {
		t.Errorf("with one:\n%s", text)
	}
}

// TestACopyOfTheData tells the person of it, without anything that is in it.
func TestACopyOfTheData(t *testing.T) {
	w := newWorld(t)
	w.run()
	before := len(w.post.letters())
	w.Do(journal.Bind(customer.RequestData{CustomerID: w.ada, RequestID: w.IDs.New(id.Job)}))
	w.run()
	letters := w.post.letters()[before:]
	if len(letters) != 1 {
		t.Fatalf("%d letters", len(letters))
	}
	if text := words(t, letters[0]); !strings.Contains(text, "am 3. März 2027") || !strings.Contains(text, "fragen Sie im Shop nach") || strings.Contains(text, "job_") || strings.Contains(text, "http") {
		t.Errorf("got\n%s", text)
	}
}
