package journeys

import (
	"context"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"perennial/internal/test/browser"
)

// somebody is a subscriber of a test's own, with a subscription.
type somebody struct{ id, email, sub string }

func newSubscriber(t *testing.T, name string) somebody {
	t.Helper()
	var who, sub struct{ ID string }
	email := strings.ToLower(name) + "@leaving.example"
	api(t, "POST", "/customers", fmt.Sprintf(`{"email":%q,"first_name":%q,"last_name":"Quay","locale":"en"}`, email, name), &who)
	api(t, "POST", "/customers/"+who.ID+"/payment-methods", `{"gateway":"simulated","gateway_reference":"sim_ok_leaving","brand":"visa","last4":"4242","exp_month":12,"exp_year":2040}`, nil)
	api(t, "POST", "/subscriptions", fmt.Sprintf(`{"customer_id":%q,"items":[{"variant_id":%q,"quantity":2}],"billing_policy":{"interval":"month","interval_count":1}}`, who.ID, variant(t, 0)), &sub)
	return somebody{who.ID, email, sub.ID}
}

// enter signs them in with a link of the team.
func (s somebody) enter(t *testing.T, o browser.Options) *browser.Page {
	t.Helper()
	var link struct {
		URL string `json:"url"`
	}
	api(t, "POST", "/customers/"+s.id+"/portal-link", "", &link)
	p := browser.Open(t, o)
	p.Go(link.URL)
	p.Click("main form button")
	p.Wait(".portal .tabs")
	return p
}

// told is an entry with the device that it came from.
type told struct {
	event
	Source struct {
		Channel string
		Agent   string `json:"user_agent"`
	}
}

// log gives the types of what the Customer Audit Log says happened last, newest first, and fails for what a subscriber did without a device.
func (s somebody) log(t *testing.T) (types []string) {
	t.Helper()
	var list []told
	api(t, "GET", "/customers/"+s.id+"/log?limit=100", "", &list)
	for _, e := range list {
		types = append(types, e.Type)
		if strings.HasPrefix(e.Type, "cancel_session.") || strings.HasPrefix(e.Type, "customer.quick_action") {
			if e.Actor.Kind != "customer" || e.Actor.ID != s.id || !strings.Contains(e.Source.Agent, "Chrome/") {
				t.Errorf("%s: by %s %s with %q", e.Type, e.Actor.Kind, e.Actor.ID, e.Source.Agent)
			}
		}
	}
	return types
}

// happened fails unless the log has entries of some types, however they lie among others.
func (s somebody) happened(t *testing.T, want ...string) {
	t.Helper()
	got := s.log(t)
	for _, typ := range want {
		if !slices.Contains(got, typ) {
			t.Errorf("there is no %s among %q", typ, got)
		}
	}
}

// inspect looks at the page that is open in both themes.
func inspect(p *browser.Page, name string) {
	for _, theme := range []string{"dark", "light"} {
		p.Theme(theme)
		p.Accessible()
		p.Fits()
		p.Picture(name + "-" + theme)
	}
}

// letter waits for a mail to an address whose text has some words, and gives its text.
func letter(t *testing.T, to, words string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	for tick := time.NewTicker(100 * time.Millisecond); ; {
		select {
		case <-ctx.Done():
			t.Fatalf("no mail to %s says %q", to, words)
		case <-tick.C:
		}
		names, err := filepath.Glob(filepath.Join(shop.MailDir, "[0-9]*.eml"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range slices.Backward(names) {
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(b), "To: <"+to+">") {
				if text := plainPart(string(b)); strings.Contains(text, words) {
					return text
				}
			}
		}
	}
}

// plainPart is the text part of a mail; a mail that is being written has none yet.
func plainPart(raw string) string {
	m, err := mail.ReadMessage(strings.NewReader(raw))
	if err != nil {
		return ""
	}
	_, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil {
		return ""
	}
	part, err := multipart.NewReader(m.Body, params["boundary"]).NextRawPart()
	if err != nil {
		return ""
	}
	b, err := io.ReadAll(quotedprintable.NewReader(part))
	if err != nil {
		return ""
	}
	return string(b)
}

var address = regexp.MustCompile(`https?://[^\s<>]+`)

// TestLeaving goes through the cancel flow as a subscriber on a phone: takes an offer, refuses one, and leaves at once.
func TestLeaving(t *testing.T) { leaving(t, "Lea", browser.Options{Width: 375}) }

func TestLeavingWithoutScript(t *testing.T) {
	leaving(t, "Leo", browser.Options{Width: 375, NoScript: true})
}

func leaving(t *testing.T, name string, o browser.Options) {
	who := newSubscriber(t, name)
	p := who.enter(t, o)
	look := func(page string) {
		if !o.NoScript { // axe-core waits with the page's own timers; the page is the same
			inspect(p, "leaving-"+page)
		}
		p.Fits()
	}
	ask := func() { // the first click
		p.Go(shop.Portal + "/subscriptions/" + who.sub)
		p.Click("main a[href$='/cancel']")
		p.Wait("main input[name=reason_id], dialog input[name=reason_id]")
		p.Holds("Why do you want to cancel?", "Keep my subscription", "Cancel anyway")
	}
	const form = "form[action$='/cancel/answer'] "
	ask()
	look("why")
	p.Click(form + "button[formaction$='/keep']")
	p.Holds("Your subscription goes on as it was.")
	who.happened(t, "cancel_session.started", "cancel_session.abandoned")

	// An offer that is accepted.
	ask()
	p.Click(form + "button.primary")
	p.Holds("Choose an answer, or cancel without one.")
	p.Forgive() // the answer is 422
	look("why-problem")
	p.Click(form + "label.choice")
	p.Click(form + "button.primary")
	p.Holds("Would one of these help instead?", "Pause until", "Cancel anyway")
	look("offers")
	p.Run(`for (const f of document.querySelectorAll("form[action$='/accept']")) if (f.closest('.card').textContent.includes('Pause until')) f.id = 'pause'`)
	p.Click("#pause button")
	p.Wait("[data-toast]")
	p.Holds("Paused the subscription until")
	look("accepted")
	who.happened(t, "cancel_session.offer_shown", "cancel_session.offer_accepted", "subscription.paused")
	if slices.Contains(who.log(t), "subscription.cancelled") {
		t.Error("an accepted offer cancels")
	}

	// An offer that is refused.
	api(t, "POST", "/subscriptions/"+who.sub+"/resume", "", nil)
	ask()
	p.Click(form + "label.choice")
	p.Click(form + "button.primary")
	p.Holds("Would one of these help instead?")
	p.Click("form[action$='/cancel'] button.danger")
	p.Wait("[data-toast]")
	p.Holds("Cancelled the subscription")
	look("cancelled")
	who.happened(t, "cancel_session.completed", "subscription.cancelled")
	letter(t, who.email, "is cancelled. No order comes any more")

	// The law's way out: the second click cancels, without an answer.
	api(t, "POST", "/subscriptions/"+who.sub+"/reactivate", "", nil)
	ask()
	p.Click(form + "button.danger")
	p.Wait("[data-toast]")
	p.Holds("Cancelled the subscription")
	var left struct{ Status string }
	api(t, "GET", "/subscriptions/"+who.sub, "", &left)
	if left.Status != "cancelled" {
		t.Errorf("after two clicks it is %s", left.Status)
	}

	// The team sees all of it, with the device.
	d := owner(t, browser.Options{Width: 375})
	d.Go(at("/customers/" + who.id + "/log?type=cancel_session.*"))
	d.Holds("Asked to cancel", "Cancelled after all", name+" Quay")
	d.Click(".entry summary")
	d.Holds("Device", "Chrome on Linux")
	d.Fits()
	d.Picture("leaving-log")
}

// TestAQuickLinkTwice takes the link out of the mail, uses it without signing in, and tries it again.
func TestAQuickLinkTwice(t *testing.T) {
	who := newSubscriber(t, "Quinn")
	api(t, "POST", "/subscriptions/"+who.sub+"/cancel", "", nil)
	_, after, _ := strings.Cut(letter(t, who.email, "start it again <"), "start it again <")
	link := address.FindString(after)
	if !strings.Contains(link, "/quick/") {
		t.Fatalf("the link is %q", link)
	}
	p := browser.Open(t, browser.Options{Width: 375})
	p.Go(link)
	p.Holds("Your history will say")
	inspect(p, "quick")
	who.happened(t, "customer.quick_action_viewed")
	if slices.Contains(who.log(t), "subscription.reactivated") {
		t.Error("opening the link uses it")
	}
	p.Click("main form .buttons button")
	p.Holds("Thank you.")
	inspect(p, "quick-done")
	who.happened(t, "customer.quick_action_used", "subscription.reactivated")
	p.Forgive() // from here on it is refused
	p.Go(link)
	p.Holds("not possible", "Sign in") // it goes on already
	p.Becomes(`document.querySelector('main form .buttons') === null`, "what is not possible has a button")
	inspect(p, "quick-again")
	api(t, "POST", "/subscriptions/"+who.sub+"/cancel", "", nil)
	p.Go(link)
	p.Click("main form .buttons button")
	p.Holds("This link was used already. Sign in to do more.")
	inspect(p, "quick-used")
	p.Lacks(who.email)
	n := 0
	for _, typ := range who.log(t) {
		if typ == "subscription.reactivated" {
			n++
		}
	}
	if n != 1 {
		t.Errorf("it was used %d times", n)
	}
	p.Go(shop.Portal + "/subscriptions/" + who.sub) // the link signed nobody in
	p.Holds("Your e-mail address")
}

// TestASessionIsRevoked signs a subscriber out by the team. Their next click asks them to sign in.
func TestASessionIsRevoked(t *testing.T) {
	who := newSubscriber(t, "Rena")
	p := who.enter(t, browser.Options{Width: 375})
	d := owner(t, browser.Options{Width: 375})
	d.Go(at("/customers/" + who.id))
	d.Holds("Sessions in the portal", "Chrome on Linux")
	d.Click("form[action$='/sessions-end'] button")
	d.Wait("[data-toast]")
	d.Holds("signed out")
	p.Click(".portal .tabs a[href$='/history']")
	p.Holds("Your e-mail address")
	inspect(p, "revoked")
	who.happened(t, "customer.logged_out")
	d.Go(at("/customers/" + who.id + "/log"))
	d.Holds("Olivia Hart")
}

// TestTheCancelFlowPages builds a flow by the pages of the Dashboard, on a phone.
func TestTheCancelFlowPages(t *testing.T) {
	p := owner(t, browser.Options{Width: 375})
	for i, path := range []string{"/cancel-flows", "/cancel-flows/new", "/settings/cancel_flow"} {
		p.Go(at(path))
		inspect(p, fmt.Sprintf("flows-%d", i))
	}
	p.Go(at("/cancel-flows/new"))
	p.Fill("#name", "On a phone")
	p.Fill("#intro", "Before you go:")
	p.Click("main form .buttons button")
	p.Wait("[data-toast]")
	p.Holds("On a phone", "No reasons yet")
	flow := strings.TrimPrefix(p.Says(`Promise.resolve(location.pathname)`), "/cancel-flows/")
	p.Go(at("/cancel-flows/" + flow + "/reasons/new"))
	inspect(p, "flow-reason")
	p.Fill("#label", "It costs too much")
	p.Fill("#offer_0", "pause:30")
	p.Fill("#text_0", "A month without.")
	p.Click("main form .buttons button")
	p.Wait("[data-toast]")
	p.Holds("It costs too much", "Pause for 30 days")
	inspect(p, "flow")
	p.Go(at("/activity?type=cancel_flow.*"))
	p.Holds("Olivia Hart")
	api(t, "DELETE", "/cancel-flows/"+flow, "", nil)
}

// TestTheMessagePages changes a text on a phone: what it cannot say is refused, and it is looked at and sent to oneself.
func TestTheMessagePages(t *testing.T) {
	p := owner(t, browser.Options{Width: 375})
	p.Go(at("/messages"))
	inspect(p, "messages")
	p.Go(at("/messages/paused?language=de"))
	p.Holds("Ihr Abonnement ist pausiert", "Es geht am")
	inspect(p, "message")
	p.Go(at("/messages/paused/en/edit"))
	inspect(p, "message-edit")
	p.Fill("#body", "See you, {{customer_first_name}}. The code is {{code}}.")
	p.Click("main form .buttons button")
	p.Holds("There is no {{code}} in this message.")
	p.Forgive() // the answer is 422
	inspect(p, "message-refused")
	p.Fill("#subject", "Paused: {{shop_name}}")
	p.Fill("#body", "See **you** soon.\n\n[My subscription]({{subscription_link}})")
	p.Click("main form .buttons button")
	p.Wait("[data-toast]")
	p.Go(at("/messages/paused?language=en"))
	p.Holds("The store's own.", "Paused: ", "See you soon.")
	inspect(p, "message-own")
	p.Click("form[action$='/test'] button")
	p.Wait("[data-toast]")
	p.Holds("Sent to " + shop.OwnerEmail)
	letter(t, shop.OwnerEmail, "See you soon.")
	p.Go(at("/messages/paused/en/edit"))
	p.Fill("#subject", "Your subscription is paused")
	p.Fill("#body", "Hello {{customer_first_name}},\n\nYour subscription ({{items}}) is paused. {{until}} No order comes and nothing is charged in the meantime.\n\n[See my subscription]({{subscription_link}})")
	p.Click("main form .buttons button")
	p.Wait("[data-toast]")
	p.Go(at("/messages/paused?language=en"))
	p.Holds("As the program has it.")
	// The first change of a message is undone by its toast.
	p.Go(at("/messages/resumed/en/edit"))
	p.Fill("#subject", "Here we go")
	p.Click("main form .buttons button")
	p.Wait("[data-toast]")
	p.Holds("Here we go", "The store's own.")
	inspect(p, "message-first")
	p.Click("[data-toast] form button")
	p.Holds("Undid the change of the message", "As the program has it.")
	inspect(p, "message-undone")
}
