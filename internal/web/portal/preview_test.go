package portal

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"perennial/internal/web/ui"
)

// TestPreviewsChangeNothing asks for the preview of every form. What was typed goes in the body; nothing happens; other sites cannot ask.
func TestPreviewsChangeNothing(t *testing.T) {
	w := newWorld(t)
	w.spare()
	w.flow() // a cancel flow begins a session when its page is read, not when the form is previewed
	v := w.signIn("ada@example.com")
	quick := w.link("reschedule", "2027-05-03")
	v.get(quick) // the first look at a link is an entry
	form := values([]string{"date", "2027-04-03", "first_name", "Grace", "last_name", "Hopper", "line1", "Lane 2", "city", "Basel", "country", "ch", "quantity", "2",
		"variant_id", string(w.other), "next_billing_date", "2027-05-09", "rhythm", "keep", "interval", "week", "interval_count", "2"})
	fill := strings.NewReplacer("{id}", string(w.hers), "{part}", string(w.subscription(w.hers).Items[0].ID))
	head, previews := w.Program.Head(), 0
	for _, pattern := range w.patterns() {
		method, path, _ := strings.Cut(pattern, " ")
		if !strings.HasSuffix(path, ui.Preview) {
			continue
		}
		previews++
		at := strings.Replace(fill.Replace(path), "/portal/quick/{token}", quick, 1)
		page := v.send(method, at, form)
		if page.status != http.StatusOK || method != http.MethodPost {
			t.Errorf("%s: got %d", pattern, page.status)
		}
		if strings.Contains(page.body, "hx-get") || strings.Contains(page.body, `formmethod="get"`) {
			t.Errorf("%s: what is typed goes into an address", pattern)
		}
		if want := `action="` + ui.WithoutPreview(at) + `"`; strings.Contains(page.body, `hx-post`) && !strings.Contains(page.body, want) {
			t.Errorf("%s: the form of the preview does not lead to %s", pattern, want)
		}
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, at, strings.NewReader(url.Values{}.Encode()))
		r.Header.Set("Sec-Fetch-Site", "cross-site")
		refused := httptest.NewRecorder()
		w.p.Handler().ServeHTTP(refused, r)
		if refused.Code != http.StatusForbidden {
			t.Errorf("%s from another site: got %d", pattern, refused.Code)
		}
	}
	if want := len(actions) + 1; previews != want {
		t.Errorf("%d previews, want %d", previews, want)
	}
	if got := w.Program.Head(); got != head {
		t.Errorf("previews made %d entries", got-head)
	}
	// Where there is no script, the page of a preview is a page as any other.
	at := "/portal/subscriptions/" + string(w.hers) + "/gift"
	w.want(v.send(http.MethodPost, at+ui.Preview, form), 200, at+ui.Preview, `formaction="`+at+ui.Preview+`"`, `value="Lane 2"`, `name="back" value="`+at+`"`)
}
