package portal

import (
	"cmp"
	"context"
	"embed"
	"net/url"
	"strings"
	"sync"
	"time"

	"perennial/internal/customer"
	"perennial/internal/fault"
	"perennial/internal/journal"
	"perennial/internal/web/ui"
	"perennial/internal/web/ui/lang"
)

// Every text of the Portal stands in words/, one file a language, by a key. A templ component says say(ctx, "key", "variable", value),
// a handler c.say("key", "variable", value). Tests read the source for keys: one stands there as a literal, in such a call or in a table
// such as actions, or it is "log." with a type or "refusal." with a code. So none can be missing, left over, or filled with other variables
// than its text has.

//go:embed words
var wordFiles embed.FS

// catalogue reads the texts once.
var catalogue = sync.OnceValue(func() *lang.Catalogue {
	c, err := lang.Read(wordFiles, "words")
	if err != nil {
		panic(err) // the files are embedded
	}
	return c
})

// say gives a text in the reader's language. args are the names of its variables and their values in turn: words, whole numbers, days.
func say(ctx context.Context, key string, args ...any) string { return lang.Of(ctx).Say(key, args...) }

// say is the same for a handler.
func (c *call) say(key string, args ...any) string { return lang.Of(c.ctx).Say(key, args...) }

// words is what the reader's language is, for dates.
func (c *call) words() *lang.Printer { return lang.Of(c.ctx) }

const (
	languageCookie   = "perennial_portal_language"
	languageLifetime = 365 * 24 * time.Hour
)

// listen finds the reader's language: what they chose on this device, what is known of the customer, what the browser asks for, what
// the store says in its settings.
func (c *call) listen() {
	var known string
	if c.who != nil {
		known = c.who.Locale
	}
	name, locale := catalogue().Match(c.cookie(languageCookie), known, c.r.Header.Get("Accept-Language"), c.offer().Language, c.shop().Locale)
	if own, region := catalogue().Match(cmp.Or(known, c.shop().Locale)); own == name {
		locale = region // the region stands with the customer, not with the choice of a language
	}
	c.ctx = lang.With(c.ctx, catalogue().Printer(name, locale))
}

// languages are the languages by their own names.
var languages = []struct{ name, own string }{{"en", "English"}, {"de", "Deutsch"}, {"fr", "Français"}, {"es", "Español"}}

// chooseLanguage keeps a choice on the device and, for a customer who is signed in, with them.
func (c *call) chooseLanguage() (answer, error) {
	name := c.r.PostFormValue("language")
	if !catalogue().Has(name) {
		return answer{}, fault.New(fault.Malformed, "unknown_language", "The Portal does not speak this language.")
	}
	c.setCookie(languageCookie, name, languageLifetime)
	own := ""
	if c.who != nil {
		own, _ = catalogue().Match(c.who.Locale)
	}
	if c.who != nil && c.viewer == "" && own != name {
		locale := name
		if own, region := catalogue().Match(c.shop().Locale); own == name {
			locale = region
		}
		if _, err := c.run(journal.Bind(customer.UpdateProfile{ID: c.who.ID, Locale: &locale})); err != nil {
			return answer{}, err
		}
	}
	back := home
	if u, err := url.Parse(c.r.PostFormValue("back")); err == nil && u.Host == "" && u.Scheme == "" && (u.Path == home || strings.HasPrefix(u.Path, home+"/")) {
		back = u.Path
	}
	return answer{to: back}, nil
}

func (p *Portal) registerLanguage() {
	p.on(route{pattern: "POST /portal/language", who: everybody, events: []journal.Name{journal.CustomerProfileUpdated}}, (*call).chooseLanguage)
}

// partWords are what the parts of a page say by themselves.
func (c *call) partWords() ui.Words {
	return ui.Words{Skip: c.say("frame.skip"), SignOut: c.say("frame.sign_out"), Stop: c.say("frame.stop"), Pages: c.say("frame.pages"), Undo: c.say("frame.undo"), Crumbs: c.say("frame.crumbs"),
		LookAgain: c.say("frame.look_again"), Close: c.say("frame.close")}
}

// contact is whom subscribers ask: what the store says in the settings of the Portal, else its address for support.
func (c *call) contact() string { return cmp.Or(c.offer().SupportContact, c.shop().SupportEmail) }
