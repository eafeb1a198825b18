package journeys

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"perennial/internal/test/browser"
)

// subscriber signs in to the Portal with a link of the team.
func subscriber(t *testing.T, o browser.Options) *browser.Page {
	t.Helper()
	var link struct {
		URL string `json:"url"`
	}
	api(t, "POST", "/customers/"+shop.Customer+"/portal-link", "", &link)
	p := browser.Open(t, o)
	p.Go(link.URL)
	p.Click("main form button")
	p.Wait(".portal .tabs")
	return p
}

// speak chooses a language at the foot of a page, and waits for it.
func speak(p *browser.Page, language string) {
	if p.Asks(fmt.Sprintf(`document.documentElement.lang !== %q`, language)) {
		p.Click(".foot button[value=" + language + "]")
		p.Wait("html[lang=" + language + "]")
	}
}

// said are words of each language that the pages of the journey have to say.
var said = map[string]struct{ home, next, skip, skipped, undo, undone, you, team string }{
	"en": {"Subscriptions", "Next order on", "Skip an order", "Skipped the order of", "Undo", "Undone:", "You ·", "The store’s team ·"},
	"de": {"Abonnements", "Nächste Bestellung am", "Bestellung überspringen", "übersprungen", "Rückgängig", "Rückgängig gemacht:", "Sie ·", "Das Team des Shops ·"},
	"fr": {"Abonnements", "Prochaine commande le", "Sauter une commande", "sautée", "Annuler", "Retour en arrière", "Vous ·", "L’équipe de la boutique ·"},
	"es": {"Suscripciones", "Próximo pedido el", "Omitir un pedido", "omitido", "Deshacer", "Cambio deshecho:", "Usted ·", "El equipo de la tienda ·"},
}

func inEveryLanguage(t *testing.T, o browser.Options, what string) {
	p := subscriber(t, o)
	defer func() {
		p.Go(shop.Portal)
		speak(p, "en")
	}()
	for _, language := range []string{"de", "fr", "es", "en"} {
		words, sub := said[language], fresh(t)
		p.Go(shop.Portal)
		speak(p, language)
		p.Holds(words.home)
		pages := []string{"", "/subscriptions/" + sub, "/subscriptions/" + sub + "/pause", "/subscriptions/" + sub + "/items", "/subscriptions/" + sub + "/cancel", "/orders", "/history", "/account", "/addresses/new"}
		for i, path := range pages {
			p.Go(shop.Portal + path)
			if !o.NoScript { // axe-core waits with the page's own timers; the page is the same
				p.Accessible()
			}
			p.Fits()
			p.Picture(fmt.Sprintf("portal-%s-%s-%d", what, language, i))
		}
		p.Go(shop.Portal + "/subscriptions/" + sub)
		p.Holds(words.next, words.skip)
		p.Go(shop.Portal + "/subscriptions/" + sub + "/skip")
		p.Click("main form .buttons button")
		p.Wait("[data-toast]")
		p.Holds(words.skipped, words.undo)
		if e := newest(t, sub); e.Type != "subscription.order_skipped" || e.Actor.ID != shop.Customer {
			t.Errorf("%s: the entry %+v", language, e)
		}
		p.Click("[data-toast] form button")
		p.Holds(words.undone)
		api(t, "POST", "/subscriptions/"+sub+"/pause", `{"comment":"An internal reason"}`, nil)
		api(t, "POST", "/subscriptions/"+sub+"/resume", "", nil)
		p.Go(shop.Portal + "/history")
		p.Holds(words.you, words.team)
		p.Lacks("Demo key")
		p.Lacks("An internal reason")
	}
}

func TestThePortalInEveryLanguage(t *testing.T) {
	inEveryLanguage(t, browser.Options{Width: 375}, "script")
}

func TestThePortalInEveryLanguageWithoutScript(t *testing.T) {
	inEveryLanguage(t, browser.Options{Width: 375, NoScript: true}, "plain")
}

// mostBytes is how much a page of the Portal may weigh with all that it loads.
const mostBytes = 40 << 10

// TestThePortalIsSmallAndFast opens each page on a slow phone with nothing kept. The aim is to be usable within a second; the time is told
// and fails nothing, because machines that test are shared.
func TestThePortalIsSmallAndFast(t *testing.T) {
	sub := fresh(t)
	p := subscriber(t, browser.Options{Width: 375})
	at, err := url.Parse(shop.Portal)
	if err != nil {
		t.Fatal(err)
	}
	p.SlowPhone()
	for _, path := range []string{"", "/subscriptions/" + sub, "/subscriptions/" + sub + "/reschedule", "/subscriptions/" + sub + "/cancel", "/orders", "/history", "/account", "/addresses/new"} {
		l := p.Measure(shop.Portal + path)
		t.Logf("%-55s %5.1f KB in %d requests, usable after %v", "/portal"+path, float64(l.Bytes)/1024, len(l.Asked), l.Usable.Round(time.Millisecond))
		if l.Bytes > mostBytes {
			t.Errorf("%s weighs %d bytes: %q", path, l.Bytes, l.Asked)
		}
		for _, a := range l.Asked {
			if u, err := url.Parse(a); err != nil || u.Host != at.Host && !strings.HasPrefix(a, "data:") {
				t.Errorf("%s asks somebody else: %s", path, a)
			}
		}
	}
}

// TestTheLooksOfThePortal gives the store a brand whose colour is too light for white text, and looks at the pages in both themes.
func TestTheLooksOfThePortal(t *testing.T) {
	p := owner(t, browser.Options{})
	p.Go(at("/settings/portal"))
	p.Accessible()
	p.Fill("#brand_color", "#ffd400")
	p.Fill("#corner_radius", "14")
	p.Fill("#welcome", "Freshly roasted every Tuesday.")
	p.Fill("#support_contact", "+49 30 1234")
	p.Click("main form .buttons button")
	p.Wait("[data-toast]")
	p.Holds("The Portal writes black on it")
	p.Picture("settings-portal")
	defer func() {
		p.Go(at("/settings/portal"))
		for _, field := range []string{"#brand_color", "#corner_radius", "#welcome", "#support_contact"} {
			p.Run(fmt.Sprintf(`document.querySelector(%q).value = ''`, field))
		}
		p.Click("main form .buttons button")
		p.Wait("[data-toast]")
	}()
	sub := fresh(t)
	for _, dark := range []bool{false, true} {
		s := subscriber(t, browser.Options{Width: 375, Dark: dark})
		for i, path := range []string{"", "/subscriptions/" + sub, "/subscriptions/" + sub + "/pause", "/account"} {
			s.Go(shop.Portal + path)
			s.Accessible()
			s.Fits()
			s.Picture(fmt.Sprintf("portal-brand-%v-%d", dark, i))
		}
		s.Go(shop.Portal)
		s.Holds("Freshly roasted every Tuesday.", "Contact: +49 30 1234")
	}
}
