// Package journeys walks through the program as its users do: a demo shop, served by the real binary, in a real browser. At the
// end the server is stopped and the whole journal is verified.
package journeys

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"perennial/internal/test/browser"
)

// shop is the running demo.
var shop struct {
	Dashboard     string `json:"dashboard_url"`
	Portal        string `json:"portal_url"`
	API           string `json:"api_url"`
	OwnerEmail    string `json:"owner_email"`
	OwnerPassword string `json:"owner_password"`
	Key           string `json:"api_key"`
	CustomerEmail string `json:"customer_email"`
	Customer      string `json:"customer_id"`
	Subscription  string `json:"subscription_id"`
	MailDir       string `json:"mail_dir"`
}

// program is the binary, made by TestMain.
var program string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "journeys")
	if err != nil {
		return failed(err)
	}
	defer func() { _ = os.RemoveAll(dir) }() // a folder of /tmp
	program = filepath.Join(dir, "perennial")
	data := filepath.Join(dir, "data")
	if out, err := exec.Command("go", "build", "-o", program, "perennial/cmd/perennial").CombinedOutput(); err != nil {
		return failed(fmt.Errorf("%w: %s", err, out))
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return failed(err)
	}
	serve := exec.Command(program, "demo", "--subscriptions", "60", "--listen", "127.0.0.1:0", "--data", data)
	serve.Stdout, serve.Stderr = log, log
	if err := serve.Start(); err != nil {
		return failed(err)
	}
	if err := ready(filepath.Join(data, "demo.json")); err != nil {
		_ = serve.Process.Kill() // it is ours, and of no use
		return failed(err)
	}
	code := m.Run()
	if err := serve.Process.Signal(syscall.SIGTERM); err != nil {
		return failed(err)
	}
	if err := serve.Wait(); err != nil {
		return failed(fmt.Errorf("the server: %w", err))
	}
	if b, err := os.ReadFile(log.Name()); err == nil && strings.Contains(string(b), `"level":"ERROR"`) {
		return failed(fmt.Errorf("the server's log:\n%s", b))
	}
	if out, err := exec.Command(program, "verify", "--data", data).CombinedOutput(); err != nil {
		return failed(fmt.Errorf("verify: %w: %s", err, out))
	}
	return code
}

func failed(err error) int {
	fmt.Fprintln(os.Stderr, err)
	return 1
}

// ready waits for the demo's description and for its first answer.
func ready(file string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	for tick := time.NewTicker(100 * time.Millisecond); ; {
		select {
		case <-ctx.Done():
			return fmt.Errorf("the demo is not ready: %w", ctx.Err())
		case <-tick.C:
		}
		b, err := os.ReadFile(file)
		if err != nil || json.Unmarshal(b, &shop) != nil || shop.Dashboard == "" {
			continue
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, shop.Dashboard+"readyz", nil)
		if err != nil {
			return err
		}
		if res, err := http.DefaultClient.Do(req); err == nil {
			res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return nil
			}
		}
	}
}

// api asks the REST API, and decodes what is under data.
func api(t *testing.T, method, path, body string, into any) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, shop.API+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+shop.Key)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if into == nil && res.StatusCode >= http.StatusBadRequest {
		t.Errorf("%s %s: %d %s", method, path, res.StatusCode, b)
	}
	if into != nil {
		var out struct{ Data json.RawMessage }
		if err := json.Unmarshal(b, &out); err != nil || json.Unmarshal(out.Data, into) != nil {
			t.Fatalf("%s %s: %d %s", method, path, res.StatusCode, b)
		}
	}
	return res.StatusCode
}

type event struct {
	ID, Type, Summary, Comment string
	Actor                      struct{ Kind, ID, Display string }
	OnBehalfOf                 *struct{ ID string } `json:"on_behalf_of"`
	Source                     struct{ Channel string }
}

// newest is the newest entry about a subscription, besides those of messages, which come when they like.
func newest(t *testing.T, subscription string) event {
	t.Helper()
	var list []event
	api(t, "GET", "/subscriptions/"+subscription+"/log?limit=20", "", &list)
	return list[slices.IndexFunc(list, func(e event) bool { return !strings.HasPrefix(e.Type, "notification.") })]
}

// variant gives one that is on sale, each n another.
func variant(t *testing.T, n int) string {
	t.Helper()
	var products, all []struct{ ID string }
	api(t, "GET", "/products?limit=20&status=active", "", &products)
	for _, p := range products {
		var list []struct{ ID string }
		api(t, "GET", "/products/"+p.ID+"/variants?limit=20", "", &list)
		all = append(all, list...)
	}
	if n >= len(all) {
		t.Fatalf("the demo has only %d variants", len(all))
	}
	return all[len(all)-1-n].ID
}

// fresh makes a subscription of its own for a test.
func fresh(t *testing.T) string {
	t.Helper()
	var made struct{ ID string }
	api(t, "POST", "/subscriptions", fmt.Sprintf(`{"customer_id":%q,"items":[{"variant_id":%q,"quantity":2},{"variant_id":%q,"quantity":1}],"billing_policy":{"interval":"month","interval_count":1}}`, shop.Customer, variant(t, 0), variant(t, 1)), &made)
	return made.ID
}

// owner opens the Dashboard as the demo's owner.
func owner(t *testing.T, o browser.Options) *browser.Page {
	t.Helper()
	p := browser.Open(t, o)
	p.Go(shop.Dashboard + "signin")
	p.Fill("#email", shop.OwnerEmail)
	p.Fill("#password", shop.OwnerPassword)
	p.Click("main form button")
	p.Wait(".shell")
	return p
}

func at(path string) string { return strings.TrimSuffix(shop.Dashboard, "/") + path }

// one gives the id of the newest thing of a list of the API.
func one(t *testing.T, path string) string {
	t.Helper()
	var list []struct{ ID string }
	api(t, "GET", path, "", &list)
	if len(list) == 0 {
		t.Fatalf("%s is empty", path)
	}
	return list[0].ID
}

// things are the ids of what pages are about.
type things struct{ sub, cus, ord, prod, group, disc, evt, team, flow string }

func demo(t *testing.T) things {
	t.Helper()
	return things{shop.Subscription, shop.Customer, one(t, "/orders?limit=1"), one(t, "/products?limit=1"), one(t, "/selling-plan-groups?limit=1"), one(t, "/discounts?limit=1"), newest(t, shop.Subscription).ID, one(t, "/team?limit=1"), one(t, "/cancel-flows?limit=1")}
}

// pages are the addresses of every page of the Dashboard.
func (x things) pages() []string {
	sub, cus := "/subscriptions/"+x.sub, "/customers/"+x.cus
	return []string{"/", "/subscriptions", "/subscriptions?view=cards", "/subscriptions?q=nobody-is-called-so", "/subscriptions/new?customer_id=" + x.cus, sub, sub + "/pause", sub + "/items", sub + "/shipping-address", sub + "/attributes",
		sub + "/log", sub + "?at_seq=2000000", "/customers", cus, cus + "/edit", cus + "/redact", cus + "/log", "/past/customer/" + x.cus + "?at_seq=2000000", "/orders", "/orders/" + x.ord, "/orders/" + x.ord + "/fulfil", "/upcoming",
		"/products", "/products/" + x.prod, "/products/" + x.prod + "/edit", "/plans", "/plans/" + x.group, "/plans/" + x.group + "/plans/new", "/discounts", "/discounts/" + x.disc, "/cancel-flows", "/cancel-flows/" + x.flow, "/events", "/events/" + x.evt, "/events/" + x.evt + "/undo", "/activity", "/analytics?compare=before", "/integrity",
		"/settings", "/settings/general", "/settings/billing", "/settings/recovery", "/settings/shipping", "/settings/portal", "/settings/log", "/api-keys", "/api-keys/new", "/team", "/team/" + x.team, "/team/invite", "/team/defaults", "/team/bulk", "/account", "/search?q=a", "/ui"}
}

// TestEveryPageOfTheDashboard looks at each page in both themes and at the width of a phone.
func TestEveryPageOfTheDashboard(t *testing.T) {
	owner(t, browser.Options{}) // another session, which has a button of its own
	p := owner(t, browser.Options{})
	for _, path := range demo(t).pages() {
		p.Go(at(path))
		p.Accessible()
		p.Run(`document.documentElement.dataset.theme = 'dark'`)
		p.Accessible()
		p.Width(375)
		p.Fits()
		p.Run(`document.documentElement.dataset.theme = 'light'`)
		p.Width(1280)
	}
}

// TestPictures keeps pictures of the pages that the documents show.
func TestPictures(t *testing.T) {
	p := owner(t, browser.Options{})
	for name, path := range map[string]string{"home": "/", "subscription": "/subscriptions/" + shop.Subscription, "explorer": "/events?type=subscription.*", "analytics": "/analytics", "order": "/orders/" + one(t, "/orders?limit=1")} {
		p.Go(at(path))
		p.Picture(name)
	}
	for name, path := range map[string]string{"subscriptions": "/subscriptions", "customer": "/customers/" + shop.Customer, "entry": "/events/" + newest(t, shop.Subscription).ID, "integrity": "/integrity", "products": "/products",
		"erase": "/customers/" + shop.Customer + "/redact", "parts": "/ui", "plans": "/plans/" + one(t, "/selling-plan-groups?limit=1"), "defaults": "/team/defaults"} {
		p.Go(at(path))
		p.Picture(name)
	}
	p.Go(at("/subscriptions?status=active&view=cards"))
	p.Click("main details.menu summary")
	p.Picture("save-view")
	p.Width(375)
	p.Theme("dark")
	for name, path := range map[string]string{"home-phone-dark": "/", "subscriptions-phone-dark": "/subscriptions", "entry-phone-dark": "/events/" + newest(t, shop.Subscription).ID, "parts-phone-dark": "/ui"} {
		p.Go(at(path))
		p.Picture(name)
	}
}

// act opens the form of an action, fills it in, sends it, and looks for the entry under the owner's name.
func act(t *testing.T, p *browser.Page, sub, path, typ string, fields ...string) {
	t.Helper()
	p.Go(at("/subscriptions/" + sub + "/" + path))
	for i := 0; i < len(fields); i += 2 {
		p.Fill("#"+fields[i], fields[i+1])
	}
	p.Holds("The log will say")
	p.Fill("#comment", "The customer called")
	p.Click("main form .buttons button")
	p.Wait("[data-toast]")
	e := newest(t, sub)
	if e.Type != typ || e.Comment != "The customer called" || e.Actor.Display != "Olivia Hart" || e.Source.Channel != "dashboard" {
		t.Errorf("%s: the entry is %+v", path, e)
	}
	p.Holds(e.Summary)
}

func item(t *testing.T, sub string) string {
	t.Helper()
	var s struct{ Items []struct{ ID string } }
	api(t, "GET", "/subscriptions/"+sub, "", &s)
	return s.Items[len(s.Items)-1].ID
}

func day(n int) string { return time.Now().AddDate(0, 0, n).Format(time.DateOnly) }

func TestSchedule(t *testing.T) {
	p, sub := owner(t, browser.Options{}), fresh(t)
	act(t, p, sub, "skip", "subscription.order_skipped")
	act(t, p, sub, "unskip", "subscription.order_unskipped")
	act(t, p, sub, "reschedule", "subscription.next_billing_date_changed", "next_billing_date", day(20))
	act(t, p, sub, "frequency", "subscription.frequency_changed", "interval_count", "2")
	act(t, p, sub, "pause", "subscription.paused", "until", day(60))
	act(t, p, sub, "resume", "subscription.resumed")
	act(t, p, sub, "cancel", "subscription.cancelled", "reason", "Too much coffee")
	act(t, p, sub, "reactivate", "subscription.reactivated")
}

func TestItemsAndTheRest(t *testing.T) {
	p, sub := owner(t, browser.Options{}), fresh(t)
	act(t, p, sub, "quantity/"+item(t, sub), "subscription.item_quantity_changed", "quantity", "5")
	act(t, p, sub, "price/"+item(t, sub), "subscription.item_price_overridden", "unit_price", "12.34")
	act(t, p, sub, "remove/"+item(t, sub), "subscription.item_removed")
	act(t, p, sub, "items", "subscription.item_added", "variant_id", variant(t, 2))
	act(t, p, sub, "swap/"+item(t, sub), "subscription.item_swapped", "variant_id", variant(t, 3), "quantity", "7")
	act(t, p, sub, "delivery-price", "subscription.delivery_price_changed", "delivery_price", "1.50")
	act(t, p, sub, "note", "subscription.note_changed", "note", "Likes it <b>strong</b>")
	p.Holds("Likes it <b>strong</b>")
}

// TestWhoPausedItAndWhy is the first question that the product answers: found, undone, and found again under one's own name.
func TestWhoPausedItAndWhy(t *testing.T) {
	p, sub := owner(t, browser.Options{}), fresh(t)
	api(t, "POST", "/subscriptions/"+sub+"/pause", `{"comment":"Away for the winter"}`, nil)
	p.Go(at("/subscriptions/" + sub + "/log?type=subscription.*")) // without what was sent meanwhile
	p.Holds("Paused the subscription", "Away for the winter", "API: Demo key")
	p.Click(".entry summary")
	p.Holds("Status", "paused", "Undo…")
	p.Click(".entry a[href*='/undo']")
	p.Wait("dialog form")
	p.Fill("dialog #comment", "By mistake")
	p.Click("dialog .buttons button")
	p.Wait("[data-toast]")
	e := newest(t, sub)
	if e.Type != "subscription.resumed" || e.Comment != "By mistake" || e.Actor.Display != "Olivia Hart" {
		t.Errorf("the undo: %+v", e)
	}
	p.Go(at("/events?actor_kind=team_member&q=" + sub))
	p.Holds("By mistake", "Olivia Hart")
	p.Go(at("/events/" + e.ID))
	p.Holds("This entry undoes an earlier one")
}

func TestUndoInTheToast(t *testing.T) {
	p, sub := owner(t, browser.Options{}), fresh(t)
	act(t, p, sub, "pause", "subscription.paused")
	p.Click("[data-toast] form button")
	p.Holds("Undid the pause")
	if e := newest(t, sub); e.Type != "subscription.resumed" {
		t.Errorf("the entry: %+v", e)
	}
}

func TestThePast(t *testing.T) {
	p, sub := owner(t, browser.Options{}), fresh(t)
	act(t, p, sub, "frequency", "subscription.frequency_changed", "interval_count", "3")
	p.Go(at("/subscriptions/" + sub + "/log?type=subscription.*")) // without what was sent meanwhile
	p.Click(".timeline > li .entry:nth-of-type(2) summary")
	p.Click(".entry details[open] a[href^='/past/']")
	p.Holds("This is the past.", "What has changed since", "Every month")
	p.Click("a[href='/subscriptions/" + sub + "']")
	p.Holds("Every 3 months")
}

func TestFilters(t *testing.T) {
	p := owner(t, browser.Options{})
	p.Go(at("/events"))
	p.Fill("select[name=type]", "subscription.*")
	p.Holds("Clear the filters")
	p.Becomes(`location.search.includes('type=subscription')`, "the address does not keep the filter")
	p.Go(at("/events?q=no+entry+says+this+ever"))
	p.Holds("Nothing matches", "Clear the filters")
	p.Go(at("/events?from=soon"))
	p.Forgive()
	p.Holds("This cannot be searched.")
}

func TestKeysInTheLog(t *testing.T) {
	p := owner(t, browser.Options{})
	p.Go(at("/events"))
	p.Keys("j")
	p.Keys("j")
	p.Keys("\r")
	p.Holds("What else happened")
	p.Becomes(`document.querySelectorAll('.entry')[1].querySelector('details').open`, "j, j and Enter did not open the second entry")
}

func TestPalette(t *testing.T) {
	p := owner(t, browser.Options{})
	p.Keys("k", chromedp.KeyModifiers(chromedp.ModifierCtrl))
	p.Type("dialog.palette input", shop.CustomerEmail)
	p.Wait("dialog.palette li[role=option]")
	p.Holds(shop.CustomerEmail)
	p.Keys("\r")
	p.Holds("Customer Audit Log")
}

func TestLiveEntries(t *testing.T) {
	p, sub := owner(t, browser.Options{}), fresh(t)
	p.Go(at("/subscriptions/" + sub + "/log"))
	api(t, "POST", "/subscriptions/"+sub+"/skip", "", nil)
	p.Wait("live-entries button") // for one or more: a message about it is an entry too, when it comes to it
	p.Lacks("Skipped the order")
	p.Click("live-entries button")
	p.Becomes(`document.querySelector('live-entries button')?.click(), document.body.innerText.includes('Skipped the order')`, "the new entry does not come")
}

func TestStaleSettings(t *testing.T) {
	p, q := owner(t, browser.Options{}), owner(t, browser.Options{})
	p.Go(at("/settings/shipping"))
	q.Go(at("/settings/shipping"))
	q.Fill("#default_delivery_price", "7.77")
	q.Click("main form .buttons button")
	q.Wait("[data-toast]")
	p.Fill("#default_delivery_price", "8.88")
	p.Click("main form .buttons button")
	p.Holds("Somebody else changed this after you opened it", "$7.77", "$8.88")
	p.Forgive() // the answer is 412
	p.Click("main form .buttons button")
	p.Wait("[data-toast]")
	p.Go(at("/activity"))
	p.Holds("Olivia Hart")
}

// TestAMemberWithoutThePermission invites somebody, who sees a plain page, and an entry says so.
func TestAMemberWithoutThePermission(t *testing.T) {
	p := owner(t, browser.Options{})
	p.Go(at("/team/invite"))
	p.Fill("#email", "mira@harborroast.example")
	p.Fill("#name", "Mira")
	p.Click("main form > button, main form .buttons button")
	p.Wait("#link")
	link := regexp.MustCompile(`http://[^\s"]+`).FindString(p.Value("#link"))
	m := browser.Open(t, browser.Options{})
	m.Go(link)
	m.Fill("#password", "a long password of mira")
	m.Click("main form button")
	m.Wait(".shell")
	m.Lacks("API keys")
	m.Go(at("/api-keys"))
	m.Forgive()
	m.Holds("You may not do this", "api_keys.view")
	p.Go(at("/activity"))
	p.Holds("Mira")
}

func TestPhone(t *testing.T) {
	p := owner(t, browser.Options{Width: 375, Dark: true})
	p.Click(".menu-button")
	p.Click("#side a[href='/subscriptions']")
	p.Holds("Subscriptions")
	p.Fits()
}

func TestWithoutScript(t *testing.T) {
	sub := fresh(t)
	p := owner(t, browser.Options{NoScript: true})
	p.Go(at("/subscriptions/" + sub + "/pause"))
	p.Click("main form .buttons button")
	p.Wait("[data-toast]")
	p.Holds("Paused the subscription")
	p.Click("[data-toast] form button")
	p.Holds("Undid the pause")
	p.Go(at("/events?type=subscription.paused"))
	p.Click(".entry summary")
	p.Holds("What else happened")
}

// attacks are texts that would do something if they were not only text.
var attacks = []string{`<script>window.bad=1</script>`, `"><img src=x onerror=window.bad=1>`, `'};window.bad=1;//`, `javascript:window.bad=1`}

func TestTextIsOnlyText(t *testing.T) {
	text := strings.Join(attacks, " ")
	quoted, err := json.Marshal(text)
	if err != nil {
		t.Fatal(err)
	}
	short, err := json.Marshal(attacks[1])
	if err != nil {
		t.Fatal(err)
	}
	var cus, prod, v, group, sub struct{ ID string }
	api(t, "POST", "/customers", fmt.Sprintf(`{"email":"attack@example.com","first_name":%s,"last_name":%s,"phone":"x","tags":["x"]}`, short, short), &cus)
	api(t, "POST", "/customers/"+cus.ID+"/addresses", fmt.Sprintf(`{"first_name":%s,"company":%s,"line1":%s,"city":%s,"region":%s,"postal_code":"1","country":"US"}`, short, short, short, short, short), nil)
	api(t, "POST", "/customers/"+cus.ID+"/payment-methods", fmt.Sprintf(`{"gateway":"simulated","gateway_reference":"sim_ok_x","brand":%s,"last4":"4242","exp_month":12,"exp_year":2040}`, short), nil)
	api(t, "POST", "/products", fmt.Sprintf(`{"title":%s,"description":%s}`, short, quoted), &prod)
	api(t, "POST", "/products/"+prod.ID+"/variants", fmt.Sprintf(`{"title":%s,"sku":%s,"price":{"amount":1000,"currency":"USD"}}`, short, short), &v)
	api(t, "POST", "/selling-plan-groups", fmt.Sprintf(`{"name":%s,"product_ids":[%q]}`, short, prod.ID), &group)
	api(t, "POST", "/selling-plan-groups/"+group.ID+"/plans", fmt.Sprintf(`{"name":%s,"billing_policy":{"interval":"month","interval_count":1},"pricing":[]}`, short), nil)
	api(t, "POST", "/api-keys", fmt.Sprintf(`{"name":%s,"permissions":["events.view"]}`, short), nil)
	api(t, "POST", "/subscriptions", fmt.Sprintf(`{"customer_id":%q,"items":[{"variant_id":%q,"quantity":1}],"billing_policy":{"interval":"month","interval_count":1}}`, cus.ID, v.ID), &sub)
	api(t, "PUT", "/subscriptions/"+sub.ID+"/note", fmt.Sprintf(`{"note":%s,"comment":%s}`, quoted, quoted), nil)
	api(t, "PUT", "/subscriptions/"+sub.ID+"/attributes", fmt.Sprintf(`{"attributes":{"a":%s}}`, short), nil)
	api(t, "POST", "/events", fmt.Sprintf(`{"type":"external.ticket_opened","source":"help-desk","summary":%s,"targets":[%q],"details":{"text":%s}}`, short, sub.ID, short), nil)
	api(t, "POST", "/subscriptions/"+sub.ID+"/cancel", fmt.Sprintf(`{"reason":%s,"comment":%s}`, short, short), nil)
	x := demo(t)
	x.sub, x.cus, x.prod, x.group, x.evt = sub.ID, cus.ID, prod.ID, group.ID, newest(t, sub.ID).ID
	p := owner(t, browser.Options{})
	unharmed := func(address string) {
		t.Helper()
		p.Go(address)
		if p.Asks(`window.bad === 1`) {
			t.Errorf("%s runs what somebody wrote", address)
		}
	}
	for _, path := range append(x.pages(), "/events?q="+strings.ReplaceAll(attacks[1], " ", "+"), "/subscriptions?q="+attacks[0], "/search?q="+attacks[0], "/signin?next="+attacks[3]) {
		unharmed(at(path))
	}
	p.Go(at("/customers/" + cus.ID))
	p.Click("form[action$='/view-as'] button")
	p.Holds("You see the portal as")
	for _, path := range []string{"", "/subscriptions/" + sub.ID, "/orders", "/history", "/account"} {
		unharmed(shop.Portal + path)
	}
}

func TestForgedForms(t *testing.T) {
	sub := fresh(t)
	before := newest(t, sub).ID
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, at("/subscriptions/"+sub+"/pause"), strings.NewReader(""))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Sec-Fetch-Site", "cross-site")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusForbidden || newest(t, sub).ID != before {
		t.Errorf("a forged form: %d", res.StatusCode)
	}
}

func TestVerifyNow(t *testing.T) {
	p := owner(t, browser.Options{})
	p.Go(at("/integrity"))
	p.Click("main form button")
	p.Holds("Everything holds.", "0 differences")
}

// subscriberByCode signs in to the Portal with the code of the message. Codes for an address are few: other tests use subscriber.
func subscriberByCode(t *testing.T, o browser.Options) *browser.Page {
	t.Helper()
	p := browser.Open(t, o)
	seen, err := filepath.Glob(filepath.Join(shop.MailDir, "[0-9]*.eml"))
	if err != nil {
		t.Fatal(err)
	}
	p.Go(shop.Portal)
	p.Fill("#email", shop.CustomerEmail)
	p.Click("main form button")
	p.Wait("#code")
	code := ""
	subject := regexp.MustCompile(`(?m)^Subject: ([2-9B-Z]{4}-[2-9B-Z]{4})`)
	for began := time.Now(); code == "" && time.Since(began) < 20*time.Second; p.Wait("#code") {
		now, err := filepath.Glob(filepath.Join(shop.MailDir, "[0-9]*.eml"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range now {
			if slices.Contains(seen, name) {
				continue
			}
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if m := subject.FindStringSubmatch(string(b)); m != nil { // others are of what else happens
				code = m[1]
			}
		}
	}
	p.Fill("#code", code)
	p.Click("main form button")
	p.Holds("Sign out", "Subscriptions")
	return p
}

func TestThePortal(t *testing.T) {
	sub := fresh(t)
	p := subscriberByCode(t, browser.Options{Width: 375})
	for _, path := range []string{"", "/subscriptions/" + sub, "/subscriptions/" + sub + "/pause", "/subscriptions/" + sub + "/items", "/orders", "/history", "/account", "/addresses/new"} {
		p.Go(shop.Portal + path)
		p.Accessible()
		p.Fits()
		p.Run(`document.documentElement.dataset.theme = 'dark'`)
		p.Accessible()
	}
	p.Go(shop.Portal + "/subscriptions/" + sub)
	p.Picture("portal-phone")
	p.Go(shop.Portal + "/subscriptions/" + sub + "/reschedule")
	p.Fill("#next_billing_date", day(12))
	p.Holds("Your history will say", "Moved the next order")
	p.Click("main form .buttons button")
	p.Wait("[data-toast]")
	p.Holds("Moved the next order", "Undo")
	e := newest(t, sub)
	if e.Type != "subscription.next_billing_date_changed" || e.Actor.Kind != "customer" || e.Source.Channel != "portal" {
		t.Errorf("the entry: %+v", e)
	}
	p.Click("[data-toast] form button")
	p.Holds("Undone:")
	p.Go(shop.Portal + "/history")
	p.Holds("You", "Moved the next order")
	p.Lacks("Demo key")
}

func TestViewAsCustomer(t *testing.T) {
	sub := fresh(t)
	p := owner(t, browser.Options{})
	p.Go(at("/customers/" + shop.Customer))
	p.Click("form[action$='/view-as'] button")
	p.Holds("You see the portal as", shop.CustomerEmail)
	p.Go(shop.Portal + "/subscriptions/" + sub + "/skip")
	p.Click("main form .buttons button")
	p.Wait("[data-toast]")
	p.Holds("Skipped the order")
	e := newest(t, sub)
	if e.Actor.Display != "Olivia Hart" || e.OnBehalfOf == nil || e.OnBehalfOf.ID != shop.Customer || e.Source.Channel != "portal" {
		t.Errorf("the entry: %+v", e)
	}
	p.Click(".banner form button")
	p.Holds("Customer Audit Log")
}
