package journeys

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"perennial/internal/test/browser"
)

// made sends the form that is open, and looks for the newest entry about a subscription under the owner's name.
func made(t *testing.T, p *browser.Page, sub string, types ...string) {
	t.Helper()
	p.Click("main form .buttons button")
	p.Wait("[data-toast]")
	var list []event
	api(t, "GET", "/subscriptions/"+sub+"/log?limit=10", "", &list)
	for _, want := range types {
		i := slices.IndexFunc(list, func(e event) bool { return e.Type == want })
		if i < 0 || list[i].Actor.Display != "Olivia Hart" || list[i].Source.Channel != "dashboard" {
			t.Errorf("no %s by the owner among %+v", want, list)
		}
	}
}

func TestSigningInAndOut(t *testing.T) {
	p := browser.Open(t, browser.Options{})
	p.Go(shop.Dashboard + "signin")
	p.Fill("#email", shop.OwnerEmail)
	p.Fill("#password", "not the password")
	p.Click("main form button")
	p.Holds("The e-mail address or the password is not right")
	p.Forgive() // the answer is 422
	p.Fill("#email", shop.OwnerEmail)
	p.Fill("#password", shop.OwnerPassword)
	p.Click("main form button")
	p.Wait(".shell")
	p.Go(at("/activity"))
	p.Holds("Failed to log in: the password was wrong", "Logged in with a password", "Olivia Hart")
	p.Click(".top details.menu summary")
	p.Click(".top form[action='/signout'] button")
	p.Holds("You are signed out")
	p.Go(at("/subscriptions"))
	p.Wait("#password")
}

func TestAnExtraOrder(t *testing.T) {
	p, sub := owner(t, browser.Options{}), fresh(t)
	p.Go(at("/subscriptions/" + sub + "/order-now"))
	p.Holds("The log will say", "The customer is charged at once")
	made(t, p, sub, "subscription.order_requested_now", "order.created", "billing_attempt.started")
}

func TestDiscountCodes(t *testing.T) {
	p, sub := owner(t, browser.Options{}), fresh(t)
	api(t, "POST", "/discounts", `{"code":"JOURNEY10","kind":"percentage","value":10}`, nil)
	p.Go(at("/subscriptions/" + sub + "/discounts"))
	p.Fill("#code", "JOURNEY10")
	p.Holds("The log will say")
	made(t, p, sub, "subscription.discount_applied")
	p.Holds("JOURNEY10", "10% off")
	act(t, p, sub, "discount-remove/JOURNEY10", "subscription.discount_removed")
	p.Go(at("/subscriptions/" + sub + "/discounts"))
	p.Fill("#code", "NOSUCHCODE")
	p.Click("main form .buttons button")
	p.Wait("main .banner.bad") // the preview says the same before
	p.Holds("There is no discount with this code")
	p.Forgive()
}

func TestWhereItGoesAndWhoPays(t *testing.T) {
	p, sub := owner(t, browser.Options{}), fresh(t)
	var address, card, spare struct{ ID string }
	api(t, "POST", "/customers/"+shop.Customer+"/addresses", `{"line1":"7 Quay Street","city":"Portland","region":"Maine","postal_code":"04101","country":"US"}`, &address)
	api(t, "POST", "/customers/"+shop.Customer+"/payment-methods", `{"gateway":"simulated","gateway_reference":"sim_ok_journey","brand":"mastercard","last4":"4444","exp_month":12,"exp_year":2040}`, &card)
	api(t, "POST", "/customers/"+shop.Customer+"/payment-methods", `{"gateway":"simulated","gateway_reference":"sim_ok_spare","brand":"visa","last4":"1111","exp_month":12,"exp_year":2040}`, &spare)
	act(t, p, sub, "shipping-address", "subscription.shipping_address_changed", "address_id", address.ID)
	p.Holds("7 Quay Street")
	act(t, p, sub, "payment-method", "subscription.payment_method_changed", "payment_method_id", card.ID)
	p.Holds("Mastercard ending in 4444")
	act(t, p, sub, "backup-payment-method", "subscription.backup_payment_method_changed", "payment_method_id", spare.ID)
}

func TestAGift(t *testing.T) {
	p, sub := owner(t, browser.Options{}), fresh(t)
	act(t, p, sub, "gift", "subscription.order_gifted", "first_name", "Grace", "last_name", "Hopper", "line1", "1 Navy Yard", "city", "Arlington", "region", "Virginia", "postal_code", "22201", "country", "us", "message", "Happy birthday")
	p.Holds("Grace Hopper", "Gift")
}

func TestAttributesByHand(t *testing.T) {
	p, sub := owner(t, browser.Options{}), fresh(t)
	act(t, p, sub, "attributes", "subscription.attributes_changed", "attributes", "grind: fine\nroast: dark")
	p.Holds("grind", "fine", "roast", "dark")
}

func TestSplittingAndMerging(t *testing.T) {
	p, sub := owner(t, browser.Options{}), fresh(t)
	p.Go(at("/subscriptions/" + sub + "/split"))
	p.Click("input[name=item_ids]")
	p.Holds("The log will say")
	made(t, p, sub, "subscription.split")
	other := one(t, "/subscriptions?limit=1&customer_id="+shop.Customer)
	p.Go(at("/subscriptions/" + sub + "/merge"))
	p.Fill("#into", other)
	p.Holds("The log will say")
	made(t, p, sub, "subscription.merged")
	p.Holds("Cancelled")
}

func TestCreatingByHand(t *testing.T) {
	p := owner(t, browser.Options{})
	p.Go(at("/subscriptions/new?customer_id=" + shop.Customer))
	p.Fill("#variant_0", variant(t, 1))
	p.Fill("#note", "By telephone")
	p.Holds("The log will say")
	p.Click("main form .buttons button")
	p.Wait("[data-toast]")
	p.Holds("Created the subscription", "By telephone")
	if e := newest(t, one(t, "/subscriptions?limit=1&customer_id="+shop.Customer)); e.Type != "subscription.created" || e.Actor.Display != "Olivia Hart" {
		t.Errorf("the entry: %+v", e)
	}
}

func TestSavedViews(t *testing.T) {
	p := owner(t, browser.Options{})
	p.Go(at("/subscriptions?status=active&sort=next&view=cards"))
	p.Click("main details.menu summary")
	p.Fill("#name", "Due soon")
	p.Click("main form.ask button")
	p.Wait("[data-toast]")
	p.Holds("The view is saved", "Forget this view")
	p.Go(at("/subscriptions"))
	p.Click(".tabs a[href*='sort=next']")
	p.Wait("ul.cards")
	p.Click("form[action$='/forget'] button")
	p.Wait("[data-toast]")
	p.Lacks("Due soon")
}

func TestFindingByProduct(t *testing.T) {
	p := owner(t, browser.Options{})
	var list []struct {
		Items []struct{ Title string }
	}
	api(t, "GET", "/subscriptions?limit=1&status=active", "", &list)
	title, _, _ := strings.Cut(list[0].Items[0].Title, ",")
	p.Go(at("/subscriptions?q=" + strings.ReplaceAll(title, " ", "+")))
	p.Holds(title)
	p.Lacks("No subscription matches")
}

// TestRevealing is of somebody who may see customers and no personal data, and reveals one value.
func TestRevealing(t *testing.T) {
	m := member(t, "rosa@harborroast.example", "customers.view", "revealed_data.view")
	m.Go(at("/customers/" + shop.Customer))
	m.Lacks(shop.CustomerEmail)
	m.Accessible()
	m.Picture("masked")
	m.Click("button[aria-label='Reveal E-mail']")
	m.Holds(shop.CustomerEmail)
	m.Go(at("/customers/" + shop.Customer))
	m.Lacks(shop.CustomerEmail)
	p := owner(t, browser.Options{})
	p.Go(at("/customers/" + shop.Customer + "/log"))
	p.Holds("Revealed a customer's e-mail address", "rosa")
}

// member invites somebody with some permissions, and opens the Dashboard as them.
func member(t *testing.T, email string, permissions ...string) *browser.Page {
	t.Helper()
	p := owner(t, browser.Options{})
	p.Go(at("/team/invite"))
	p.Fill("#email", email)
	p.Run(`document.querySelectorAll('input[type=checkbox]').forEach(b => { b.checked = false })`)
	for _, name := range permissions {
		p.Run(fmt.Sprintf(`document.querySelector('input[value=%q]').checked = true`, name))
	}
	p.Click("main form > button")
	p.Wait("#link")
	m := browser.Open(t, browser.Options{})
	m.Go(p.Value("#link"))
	m.Fill("#name", strings.Split(email, "@")[0])
	m.Fill("#password", "four words for "+email)
	m.Click("main form button")
	m.Wait(".shell")
	return m
}

// TestAReceipt takes the receipt and the key from the page of an entry, and the program checks them by themselves.
func TestAReceipt(t *testing.T) {
	p, sub := owner(t, browser.Options{}), fresh(t)
	p.Go(at("/events/" + newest(t, sub).ID))
	p.Holds("Download the receipt", "perennial verify --receipt")
	dir := t.TempDir()
	for link, file := range map[string]string{"a[href$='/receipt.json']": "receipt", "a[href='/log-key.txt']": "key"} {
		text := p.Says(fmt.Sprintf(`fetch(document.querySelector(%q).href).then(r => r.text())`, link))
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.Command(program, "verify", "--receipt", filepath.Join(dir, "receipt"), "--key", filepath.Join(dir, "key")).CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

func TestCopyingALink(t *testing.T) {
	p, sub := owner(t, browser.Options{}), fresh(t)
	e := newest(t, sub).ID
	p.Go(at("/events/" + e))
	p.Run(`navigator.clipboard.writeText = text => { window.copied = text; return Promise.resolve() }`)
	p.Click("copy-link button")
	p.Holds("Copied")
	if !p.Asks(fmt.Sprintf(`window.copied === %q`, at("/events/"+e))) {
		t.Errorf("copied %s", p.Says(`Promise.resolve(window.copied)`))
	}
}

func TestWhatElseHappened(t *testing.T) {
	p, sub := owner(t, browser.Options{}), fresh(t)
	p.Go(at("/subscriptions/" + sub + "/split"))
	p.Click("input[name=item_ids]")
	made(t, p, sub, "subscription.split")
	var list []event
	api(t, "GET", "/subscriptions/"+sub+"/log?limit=5&type=subscription.split", "", &list)
	p.Go(at("/events/" + list[0].ID))
	p.Holds("What else happened in this operation", "Created the subscription")
}

func TestTheDifference(t *testing.T) {
	p, sub := owner(t, browser.Options{}), fresh(t)
	act(t, p, sub, "delivery-price", "subscription.delivery_price_changed", "delivery_price", "9.87")
	p.Go(at("/subscriptions/" + sub + "/log?type=subscription.delivery_price_changed")) // a message about it has an entry too, when it comes to it
	p.Click(".entry summary")
	p.Holds("Before", "After", "$9.87", "Delivery price", "IP address", "The customer called")
}

func TestDownloadingAFilteredLog(t *testing.T) {
	p, sub := owner(t, browser.Options{}), fresh(t)
	act(t, p, sub, "pause", "subscription.paused")
	p.Go(at("/subscriptions/" + sub + "/log?type=subscription.paused"))
	csv := p.Says(`fetch(document.querySelector("a[href*='format=csv']").href).then(r => r.text())`)
	if lines := strings.Split(strings.TrimSpace(csv), "\n"); len(lines) != 2 || !strings.Contains(lines[1], "subscription.paused") {
		t.Errorf("the file:\n%s", csv)
	}
	p.Go(at("/activity?type=log.exported"))
	p.Holds("Downloaded the Subscription Audit Log as CSV")
}

func TestAStaleForm(t *testing.T) {
	p, sub := owner(t, browser.Options{}), fresh(t)
	p.Go(at("/subscriptions/" + sub + "/delivery-price"))
	api(t, "PUT", "/subscriptions/"+sub+"/delivery-price", `{"delivery_price":{"amount":111,"currency":"USD"}}`, nil)
	p.Fill("#delivery_price", "2.22")
	p.Click("main form .buttons button")
	p.Holds("Somebody else changed this after you opened it", "Changed meanwhile", "$1.11", "Yours, now", "$2.22")
	p.Forgive() // the answer is 412
	p.Accessible()
	p.Picture("stale")
	made(t, p, sub, "subscription.delivery_price_changed")
}

// TestNothingTypedIsLost opens a form over the page, types, and presses Escape.
func TestNothingTypedIsLost(t *testing.T) {
	p, sub := owner(t, browser.Options{}), fresh(t)
	p.Go(at("/subscriptions/" + sub))
	p.Click("a[data-dialog][href$='/reschedule']")
	p.Wait("dialog form")
	p.Run(`window.asked = 0; window.confirm = () => { window.asked++; return false }`)
	p.Type("dialog #comment", "The customer called")
	p.Keys("\x1b")
	p.Wait("dialog form")
	p.Becomes(`window.asked === 1`, "Escape does not ask")
	if !p.Asks(`document.querySelector('dialog #comment').value === 'The customer called'`) {
		t.Error("what was typed is lost")
	}
	p.Run(`window.confirm = () => true`)
	p.Click("dialog [data-cancel]")
	p.Becomes(`!document.querySelector('dialog')`, "the form is still there")
}

func TestManyProductsAtOnce(t *testing.T) {
	p := owner(t, browser.Options{})
	p.Go(at("/products"))
	p.Click("input[name=product]")
	p.Fill("select[name=change]", "offered")
	p.Click("form[action='/products/bulk'] footer button")
	p.Wait("[data-toast]")
	p.Go(at("/activity?type=product_settings.*"))
	p.Holds("as an addition", "Olivia Hart")
}

// TestThePriceOfAPlan changes it, and reads the entry.
func TestThePriceOfAPlan(t *testing.T) {
	p := owner(t, browser.Options{})
	group := one(t, "/selling-plan-groups?limit=1")
	plan := one(t, "/selling-plan-groups/"+group+"/plans?limit=1")
	p.Go(at("/plans/" + group))
	p.Holds("Who subscribes today to")
	p.Go(at("/plans/" + group + "/plans/" + plan + "/edit"))
	p.Fill("input[name='value_0']", "17")
	p.Fill("#comment", "A better offer")
	p.Click("main form .buttons button")
	p.Wait("[data-toast]")
	p.Go(at("/activity"))
	p.Holds("A better offer", "Olivia Hart")
}

func TestAnErasureSaysWhatItDoes(t *testing.T) {
	var who struct{ ID string }
	api(t, "POST", "/customers", `{"email":"goes@example.com","first_name":"Gone","last_name":"Soon"}`, &who)
	p := owner(t, browser.Options{})
	p.Go(at("/customers/" + who.ID + "/redact"))
	p.Holds("The log will say", "Erased the customer's personal data")
	p.Fill("#confirm_email", "goes@example.com")
	p.Click("main form .buttons button")
	p.Holds("Erased customer")
	p.Lacks("goes@example.com")
}

func TestDarkColours(t *testing.T) {
	p := owner(t, browser.Options{})
	p.Click(".top details.menu summary")
	p.Click(".top a[href^='/theme?set=dark']")
	p.Wait("html[data-theme=dark]")
	p.Go(at("/subscriptions"))
	p.Wait("html[data-theme=dark]")
	p.Accessible()
}

// TestTheLastCheckIsKnown is of another person than who pressed the button.
func TestTheLastCheckIsKnown(t *testing.T) {
	p := owner(t, browser.Options{})
	p.Go(at("/integrity"))
	p.Click("main form button")
	p.Holds("Everything holds.", "Checked on", "for Olivia Hart")
	p.Click(".banner a")
	p.Holds("Verified all", "everything holds")
	var list []event
	api(t, "GET", "/events?type=log.verified&limit=1", "", &list)
	if len(list) != 1 || list[0].Actor.Display != "Olivia Hart" {
		t.Errorf("the entry: %+v", list)
	}
}
