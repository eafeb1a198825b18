package journeys

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"perennial/internal/test/browser"
)

// TestADeclinedCard is a renewal whose card has no money: the mail, the card that is changed by its link on a phone without signing in,
// the payment that is tried again at once, and the team's page that explains the order.
func TestADeclinedCard(t *testing.T) {
	var general struct {
		TimeZone string `json:"time_zone"`
	}
	api(t, "GET", "/settings/general", "", &general)
	zone, err := time.LoadLocation(general.TimeZone)
	if err != nil {
		t.Fatal(err)
	}
	var billing map[string]any
	api(t, "GET", "/settings/billing", "", &billing)
	billing["billing_hour"] = 0 // it is due at any hour
	delete(billing, "version")
	document, err := json.Marshal(billing)
	if err != nil {
		t.Fatal(err)
	}
	api(t, "PUT", "/settings/billing", string(document), nil)
	var who, sub struct{ ID string }
	email := "dora@declined.example"
	api(t, "POST", "/customers", fmt.Sprintf(`{"email":%q,"first_name":"Dora","last_name":"Quay","locale":"en"}`, email), &who)
	api(t, "POST", "/customers/"+who.ID+"/payment-methods", `{"gateway":"simulated","gateway_reference":"sim_decline_insufficient_funds","brand":"visa","last4":"9995","exp_month":12,"exp_year":2040}`, nil)
	api(t, "POST", "/subscriptions", fmt.Sprintf(`{"customer_id":%q,"items":[{"variant_id":%q,"quantity":1}],"billing_policy":{"interval":"month","interval_count":1},"next_billing_date":%q}`,
		who.ID, variant(t, 0), time.Now().In(zone).Format(time.DateOnly)), &sub)

	_, after, _ := strings.Cut(letter(t, email, "Give us a card: "), "Give us a card: ")
	link := address.FindString(after)
	if !strings.Contains(link, "/quick/") {
		t.Fatalf("the link is %q", link)
	}
	p := browser.Open(t, browser.Options{Width: 375})
	p.Go(link)
	p.Holds("Add a card", "No real card is charged here")
	inspect(p, "quick-card")
	p.Fill("#number", "4242 4242 4242 4242")
	p.Fill("#expiry", "04/40")
	p.Click("main form .buttons button")
	p.Holds("Thank you.")
	letter(t, email, "is on its way to being packed")
	p.Forgive() // from here on it is refused
	p.Go(link)
	p.Holds("This link was used already. Sign in to do more.")
	p.Go(shop.Portal + "/subscriptions/" + sub.ID) // the link signed nobody in
	p.Holds("Your e-mail address")

	s := somebody{who.ID, email, sub.ID}
	s.happened(t, "recovery.entered", "customer.quick_action_viewed", "customer.quick_action_used", "payment_method.added", "recovery.recovered", "order.placed")
	var orders []struct{ ID, Status string }
	api(t, "GET", "/orders?subscription_id="+sub.ID, "", &orders)
	if len(orders) != 1 || orders[0].Status != "placed" {
		t.Fatalf("the orders: %+v", orders)
	}
	d := owner(t, browser.Options{})
	d.Go(at("/orders/" + orders[0].ID))
	d.Holds("Why", "9995", "4242", "Dora")
	d.Accessible()
	d.Picture("declined-order")
	d.Width(375)
	d.Fits()
	d.Run(`[...document.querySelectorAll('ul.lines a')].at(-1).click()`) // the last entry of the explanation
	d.Holds("What led to this", "Renewed the subscription")
	d.Run(`document.querySelector('ol.lines').scrollIntoView()`)
	d.Fits()
	d.Accessible()
	d.Picture("declined-causes-phone")
}
