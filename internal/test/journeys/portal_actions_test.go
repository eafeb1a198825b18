package journeys

import (
	"encoding/json"
	"fmt"
	"testing"

	"perennial/internal/test/browser"
)

// recipient is somebody with two subscriptions and two cards, and a browser that is signed in.
type recipient struct {
	*browser.Page
	id, first, second, spare string
}

// newcomer makes a customer, so that what other journeys do is not in the way.
func newcomer(t *testing.T, email string, o browser.Options) recipient {
	t.Helper()
	var who, made struct{ ID string }
	api(t, "POST", "/customers", fmt.Sprintf(`{"email":%q,"first_name":"Grace"}`, email), &who)
	r := recipient{id: who.ID}
	at := "/customers/" + who.ID
	api(t, "POST", at+"/addresses", `{"first_name":"Grace","last_name":"Hopper","line1":"1 Navy Yard","city":"Arlington","region":"Virginia","postal_code":"22201","country":"US"}`, nil)
	for _, digits := range []string{"4242", "4444"} {
		api(t, "POST", at+"/payment-methods", fmt.Sprintf(`{"gateway":"simulated","gateway_reference":"sim_ok_%s","brand":"visa","last4":%q,"exp_month":12,"exp_year":2040}`, digits, digits), &made)
		r.spare = made.ID
	}
	for i, sub := range []*string{&r.first, &r.second} {
		items := fmt.Sprintf(`{"variant_id":%q,"quantity":1}`, variant(t, i))
		if i == 0 {
			items += fmt.Sprintf(`,{"variant_id":%q,"quantity":2}`, variant(t, 2))
		}
		api(t, "POST", "/subscriptions", fmt.Sprintf(`{"customer_id":%q,"items":[%s],"billing_policy":{"interval":"month","interval_count":1}}`, who.ID, items), &made)
		*sub = made.ID
	}
	var link struct {
		URL string `json:"url"`
	}
	api(t, "POST", at+"/portal-link", "", &link)
	r.Page = browser.Open(t, o)
	r.Go(link.URL)
	r.Click("main form button")
	r.Wait(".portal .tabs")
	return r
}

// does opens the form of an action from the menu's address, fills it in, looks at what it would come to, sends it, and looks for the entry.
func (r recipient) does(t *testing.T, o browser.Options, sub, action, typ string, effect []string, fill func()) {
	t.Helper()
	r.Go(shop.Portal + "/subscriptions/" + sub)
	r.Becomes(fmt.Sprintf(`document.querySelector('a[href$="/%s"]') !== null`, action), "no link leads to "+action)
	r.Go(shop.Portal + "/subscriptions/" + sub + "/" + action)
	if !o.NoScript { // axe-core waits with the page's own timers; the page is the same
		r.Accessible()
	}
	r.Fits()
	for _, language := range []string{"de", "fr", "es", "en"} {
		speak(r.Page, language)
		r.Fits()
		r.Picture(fmt.Sprintf("portal-%s-%v-%s", action, o.NoScript, language))
	}
	fill()
	if o.NoScript {
		r.Click("noscript button")
		r.Wait("#effect .banner")
	}
	r.Holds(append(effect, "Your history will say", "Orders now", "Orders then")...)
	if !o.NoScript {
		r.Accessible()
		r.Run(`document.documentElement.dataset.theme = 'dark'`)
		r.Accessible()
	}
	r.Fits()
	r.Picture(fmt.Sprintf("portal-%s-%v", action, o.NoScript))
	r.Click("main form .buttons button")
	r.Wait("[data-toast]")
	r.Picture(fmt.Sprintf("portal-%s-%v-done", action, o.NoScript))
	var list []event
	api(t, "GET", "/events?limit=1&target="+sub+"&type="+typ, "", &list)
	if e := list[0]; e.Actor.Kind != "customer" || e.Actor.ID != r.id || e.Source.Channel != "portal" {
		t.Errorf("%s: the entry %+v", action, e)
	}
}

func portalActions(t *testing.T, o browser.Options, email string) {
	r := newcomer(t, email, o)
	r.does(t, o, r.first, "backup-payment-method", "subscription.backup_payment_method_changed", []string{"Changed the backup payment method"}, func() {
		r.Fill("#payment_method_id", r.spare)
	})
	r.Holds("If that fails", "ending in 4444", "Undo")

	r.does(t, o, r.first, "gift", "subscription.order_gifted", []string{"a gift for Ada Byron"}, func() {
		for field, value := range map[string]string{"first_name": "Ada", "last_name": "Byron", "line1": "12 St James Avenue", "city": "Boston", "postal_code": "02116", "country": "US", "message": "Happy birthday"} {
			r.Fill("#"+field, value)
		}
	})
	r.Holds("Made the order of", "a gift for Ada Byron", "Undo")
	r.Go(shop.Portal + "/subscriptions/" + r.first) // the toast is gone
	r.Holds("a gift for Ada Byron", "Not a gift any more")
	r.Fits()
	r.Picture(fmt.Sprintf("portal-gift-%v-line", o.NoScript))
	r.Click(`.lines form[action^="/portal/undo/"] button`)
	r.Holds("Undone: Made the order of")

	r.does(t, o, r.first, "split", "subscription.split", []string{"Moved into a subscription of its own: 2 ×"}, func() {
		r.Click("label.choice:last-of-type input[name=item_ids]")
	})
	r.Holds("Moved into a subscription of its own")
	var split struct{ Items []json.RawMessage }
	if api(t, "GET", "/subscriptions/"+r.first, "", &split); len(split.Items) != 1 {
		t.Errorf("%d items stayed", len(split.Items))
	}

	r.does(t, o, r.first, "merge", "subscription.merged", []string{"Merged into another subscription", "Took over"}, func() {
		r.Fill("#into", r.second)
	})
	r.Holds("Took over", "from another subscription")
	var merged struct{ Status string }
	if api(t, "GET", "/subscriptions/"+r.first, "", &merged); merged.Status != "cancelled" {
		t.Errorf("the merged one is %s", merged.Status)
	}
	r.Go(shop.Portal + "/history")
	r.Holds("You ·", "Merged into another subscription", "Moved into a subscription of its own", "Changed the backup payment method")
}

func TestTheRarerActionsOfASubscriber(t *testing.T) {
	portalActions(t, browser.Options{Width: 375}, "grace@example.com")
}

func TestTheRarerActionsWithoutScript(t *testing.T) {
	portalActions(t, browser.Options{Width: 375, NoScript: true}, "grace.plain@example.com")
}
