package journeys

import (
	"testing"

	"perennial/internal/test/browser"
)

// TestANewCard adds one after another that the bank declines, on a phone, with the page seen in both themes.
func TestANewCard(t *testing.T) {
	fresh(t)
	p := subscriber(t, browser.Options{Width: 375})
	p.Go(shop.Portal + "/account")
	p.Click("a[href$='/payment-methods/new']")
	p.Holds("No real card is charged here")
	p.Accessible()
	p.Fits()
	p.Fill("#number", "4000 0000 0000 0002")
	p.Fill("#expiry", "04/31")
	p.Click("main form .buttons button")
	p.Holds("The bank declined this card")
	p.Forgive() // the answer is 422
	p.Accessible()
	p.Fits()
	p.Picture("new-card")
	p.Run(`document.documentElement.dataset.theme = 'dark'`)
	p.Accessible()
	p.Picture("new-card-dark")
	p.Fill("#number", "5555 5555 5555 4444")
	p.Click("main form .buttons button")
	p.Wait("[data-toast]")
	p.Holds("Mastercard", "4444")
	var list []event
	api(t, "GET", "/customers/"+shop.Customer+"/log?limit=1&type=payment_method.default_changed", "", &list)
	e := list[0]
	if e.Type != "payment_method.default_changed" || e.Actor.ID != shop.Customer || e.Source.Channel != "portal" {
		t.Errorf("the entry: %+v", e)
	}
}

func TestANewCardWithoutScript(t *testing.T) {
	p := subscriber(t, browser.Options{Width: 375, NoScript: true})
	p.Go(shop.Portal + "/payment-methods/new")
	p.Fits()
	p.Fill("#number", "4242424242424242")
	p.Fill("#expiry", "1/2032")
	p.Click("main form .buttons button")
	p.Holds("4242", "01/2032")
}
