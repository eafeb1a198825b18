package routes_test

import (
	"bufio"
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"perennial/internal/access"
	"perennial/internal/api"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/kinds"
	"perennial/internal/store"
	"perennial/internal/team"
)

// people are those who come by every route.
type people struct {
	all                                       *visitor // an API key with every permission
	nobody, wrong, revoked                    *visitor // a key that nobody made; one that was revoked
	owner, hurried, admin, ben, masked, ended *visitor // of the team; an owner who has not shown again who they are; whose session is over
	ada, other, looker, left                  *visitor // of the Portal; whose session is over
	benID                                     id.ID
}

func (h *house) people() people {
	h.t.Helper()
	p := people{all: h.furnish()}
	p.benID = h.member("ben@example.org", "Ben", team.Member)
	h.member("amy@example.org", "Amy", team.Admin)
	maskedID := h.member("max@example.org", "Max", team.Member)
	h.grant(maskedID, unmasked()...)
	p.nobody = h.visitor("nobody")
	p.owner, p.admin, p.ben, p.masked = h.signedIn("an owner", "olga@example.com"), h.signedIn("an admin", "amy@example.org"), h.signedIn("a member", "ben@example.org"), h.signedIn("a masked member", "max@example.org")
	p.owner.agent = canary + "/3.0"
	p.ended, p.hurried = h.signedIn("a member whose session is over", "ben@example.org"), h.visitor("an owner who is asked again")
	p.hurried.agent = p.owner.agent
	p.over(p.ended, "/signout")
	p.copied(p.owner, p.hurried, "perennial_confirmed")
	p.ada, p.other = h.inPortal("Ada", h.ids["ada"], p.all), h.inPortal("another customer", h.ids["ben"], p.all)
	p.left = h.inPortal("a customer whose session is over", h.ids["ada"], p.all)
	p.over(p.left, "/portal/signout")
	p.looker = h.visitor("a member who looks on")
	p.copied(p.owner, p.looker, "")
	if s := p.looker.post("/customers/" + h.ids["ada"] + "/view-as"); s.status != http.StatusSeeOther {
		h.t.Fatalf("no look: %d\n%s", s.status, s.body)
	}
	p.wrong, p.revoked = h.caller("a wrong key", p.all.key+"x"), h.caller("a revoked key", h.key(team.Everything().List()...))
	h.do(journal.Bind(team.RevokeKey{ID: keyID(p.revoked.key)}))
	h.known()
	return p
}

// copied gives a visitor the cookies of another, without one.
func (p people) copied(from, to *visitor, without string) {
	at := from.request(context.Background(), http.MethodGet, "/", "").URL
	to.client.Jar.SetCookies(at, slices.DeleteFunc(from.client.Jar.Cookies(at), func(c *http.Cookie) bool { return c.Name == without }))
}

// over ends the session of a visitor who keeps its cookies.
func (p people) over(v *visitor, path string) {
	at := v.request(context.Background(), http.MethodGet, "/", "").URL
	cookies := v.client.Jar.Cookies(at)
	v.post(path)
	v.client.Jar.SetCookies(at, cookies)
}

// unmasked is every permission but those to see personal values.
func unmasked() []team.Permission {
	return without(team.Everything().List(), team.PersonalDataView, team.RevealedDataView)
}

func without(list []team.Permission, drop ...team.Permission) []team.Permission {
	return slices.DeleteFunc(slices.Clone(list), func(p team.Permission) bool { return slices.Contains(drop, p) })
}

// shows finds a personal value in an answer.
func shows(s string) string {
	lower := strings.ToLower(s)
	if i := strings.Index(lower, canary); i >= 0 {
		return s[max(0, i-60):min(len(s), i+len(canary)+20)]
	}
	if at := digits.FindStringIndex(s); at != nil {
		return s[max(0, at[0]-60):min(len(s), at[1]+20)]
	}
	for shift := range 3 {
		padded := append(make([]byte, shift), canary...)
		form := base64.RawStdEncoding.EncodeToString(padded)[(shift*4+2)/3 : len(padded)/3*4]
		if i := strings.Index(s, form); i >= 0 {
			return s[max(0, i-60):min(len(s), i+len(form)+20)]
		}
	}
	return ""
}

// hides fails when an answer shows a personal value.
func (v *visitor) hides(method, path string, s seen) {
	v.h.t.Helper()
	if what := shows(s.all()); what != "" {
		v.h.t.Errorf("%s %s shows %s (%d): %q", method, path, v.name, s.status, what)
	}
}

// begins sends a request and reads no more of its answer than the head: for what goes on.
func (v *visitor) begins(method, path string) seen {
	v.h.t.Helper()
	ctx, cancel := context.WithCancel(v.h.t.Context())
	defer cancel()
	res, err := v.client.Do(v.request(ctx, method, path, ""))
	must(v.h.t, err)
	cancel()
	_ = res.Body.Close()
	return seen{status: res.StatusCode, header: res.Header}
}

// TestEveryRoute walks the table of routes. What each row says is what happens to everybody who comes.
func TestEveryRoute(t *testing.T) {
	h := newHouse(t)
	p := h.people()
	rows := h.s.Routes()
	if len(rows) < 450 {
		t.Fatalf("only %d routes", len(rows))
	}
	t.Run("every personal field has a canary", h.canaries)
	t.Run("what is masked is nowhere", func(t *testing.T) { h.in(t); p.maskedEverywhere(h, rows) })
	t.Run("who may", func(t *testing.T) { h.in(t); p.walk(h, rows) })
	t.Run("who might a moment ago", func(t *testing.T) { h.in(t); p.losing(h, rows) })
	if what := shows(h.log.String()); what != "" {
		t.Errorf("the log of the server shows %q", what)
	}
}

// in lets a part of the test report as itself.
func (h *house) in(t *testing.T) {
	was := h.t
	h.t = t
	t.Cleanup(func() { h.t = was })
}

// canaries looks for a personal field of any kind of thing that the house left empty: what is not there cannot leak.
func (h *house) canaries(t *testing.T) {
	have := map[string]bool{}
	for e, err := range h.i.Store.Events(t.Context(), h.i.Store.Read, store.Opened, 0, 0) {
		must(t, err)
		for _, c := range e.Changes {
			if c.Personal && (shows(string(c.After)) != "" || shows(string(c.Before)) != "") {
				have[string(e.Target().Kind)+"."+c.Root()] = true
			}
		}
	}
	for _, m := range kinds.Mappings() {
		state := reflect.TypeOf(m.Fresh("x")).Elem()
		for f := range state.Fields() {
			name := string(m.Kind) + "." + strings.Split(f.Tag.Get("json"), ",")[0]
			if strings.HasPrefix(f.Type.Name(), "Personal[") && !have[name] {
				t.Errorf("nothing of the house has a canary in %s", name)
			}
		}
	}
}

// ways are the ways to ask for one address.
var ways = []string{"", "?format=csv", "?format=ndjson", "?order=asc&limit=200", "?at_seq=60", "?seq=60", "?from=2020-01-01"}

func (p people) maskedEverywhere(h *house, rows []access.Route) {
	key := h.caller("a masked key", h.key(unmasked()...))
	of := map[access.Who][]*visitor{access.KeyHolder: {key, p.nobody, p.revoked}, access.Member: {p.masked, p.nobody, p.ended}, access.Permitted: {p.masked, p.nobody, p.ended, p.other},
		access.Customer: {p.other, p.nobody, p.left}, access.Alone: {p.other, p.nobody, p.left}, access.Anyone: {p.nobody, p.other, p.masked}, access.LinkHolder: {p.nobody}, access.Operator: {p.nobody}, access.Gateway: {p.nobody}}
	for _, r := range rows {
		method, path := r.Split()
		at := h.address(r.Pattern, false)
		safe := method == http.MethodGet || method == http.MethodPatch || strings.HasSuffix(path, "/preview")
		if !safe || r.Stream {
			continue
		}
		body := ""
		if method != http.MethodGet && strings.HasPrefix(path, api.Base) {
			body = "{}"
		}
		for i, v := range of[r.Who] {
			asked := ways
			if method != http.MethodGet || i > 0 {
				asked = ways[:1]
			}
			for _, way := range asked {
				v.hides(method, at+way, v.send(method, at+way, body))
			}
		}
	}
	// Each entry has details and changes of its own, and each thing a past.
	for e, err := range h.i.Store.Events(h.t.Context(), h.i.Store.Read, store.Closed, 0, 0) {
		must(h.t, err)
		for _, path := range []string{"/events/" + string(e.ID), "/events/" + string(e.ID) + "/causes"} {
			key.hides("GET", path, key.send("GET", api.Base+path, ""))
		}
		for _, path := range []string{"/events/" + string(e.ID), "/events/" + string(e.ID) + "/undo", fmt.Sprintf("/past/%s/%s?seq=%d", e.Target().Kind, e.Target().ID, e.Seq)} {
			p.masked.hides("GET", path, p.masked.send("GET", path, ""))
		}
	}
}

// enters says that an answer is none for who is not known: where to sign in, or that a key is missing.
func (s seen) enters() bool {
	return s.status == http.StatusUnauthorized || s.status == http.StatusSeeOther && (strings.HasPrefix(s.to(), "/signin") || strings.HasPrefix(s.to(), "/portal/signin"))
}

// leaving are the routes that end what the walk still needs. They are walked by those who are sent away, and in the journeys of their face.
var leaving = []string{"POST /signout", "POST /portal/signout", "POST /account/sessions/end-others"}

// empty is what a request says when nobody minds.
func empty(r access.Route) string {
	if method, path := r.Split(); method != http.MethodGet && method != http.MethodDelete && strings.HasPrefix(path, api.Base) {
		return "{}"
	}
	return ""
}

func (h *house) try(v *visitor, r access.Route, strange bool, headers ...string) seen {
	h.t.Helper()
	method, _ := r.Split()
	if method == "" {
		method = http.MethodGet
	}
	at := h.address(r.Pattern, strange)
	if r.Stream {
		return v.begins(method, at)
	}
	return v.send(method, at, empty(r), headers...)
}

// sentAway wants everybody of a list to be told to sign in, or to bring a key.
func (h *house) sentAway(r access.Route, list ...*visitor) {
	h.t.Helper()
	for _, v := range list {
		if s := h.try(v, r, false); !s.enters() {
			h.t.Errorf("%s as %s: %d %s", r.Pattern, v.name, s.status, s.to())
		} else {
			v.hides("", r.Pattern, s)
		}
	}
}

// let wants somebody to be let in: whatever comes of an empty request, it is no question of who they are.
func (h *house) let(r access.Route, v *visitor) {
	h.t.Helper()
	if s := h.try(v, r, strange(r)); s.enters() || s.status == http.StatusForbidden || s.status == http.StatusInternalServerError {
		h.t.Errorf("%s as %s: %d %s\n%s", r.Pattern, v.name, s.status, s.to(), s.body)
	}
}

// strange says that a route is tried with things that are not there: it would change those that are.
func strange(r access.Route) bool { method, _ := r.Split(); return method != http.MethodGet }

// refused wants a permission to be named as what is missing.
func (h *house) refused(r access.Route, v *visitor, p team.Permission) {
	h.t.Helper()
	if s := h.try(v, r, strange(r)); s.status != http.StatusForbidden || !r.Stream && !strings.Contains(s.body, string(p)) {
		h.t.Errorf("%s as %s without %s: %d\n%s", r.Pattern, v.name, p, s.status, s.body)
	} else {
		v.hides("", r.Pattern, s)
	}
}

// orAny is what a key may do where nothing is asked of it: a key with no permission cannot be made.
func orAny(needs []team.Permission) []team.Permission {
	if len(needs) == 0 {
		return []team.Permission{team.LogSettingsView}
	}
	return needs
}

// byNeeds gives the rows of a kind in groups that ask for the same.
func byNeeds(rows []access.Route, who ...access.Who) [][]access.Route {
	groups, order := map[string][]access.Route{}, []string{}
	for _, r := range rows {
		if slices.Contains(who, r.Who) {
			name := fmt.Sprint(r.Needs)
			if groups[name] == nil {
				order = append(order, name)
			}
			groups[name] = append(groups[name], r)
		}
	}
	var out [][]access.Route
	for _, name := range order {
		out = append(out, groups[name])
	}
	return out
}

func (p people) walk(h *house, rows []access.Route) {
	everything := team.Everything().List()
	for _, r := range rows {
		stays := !slices.Contains(leaving, r.Pattern)
		method, path := r.Split()
		switch r.Who {
		case access.Anyone:
			for _, v := range []*visitor{p.nobody, p.ended, p.left} {
				if s := h.try(v, r, true); s.status == 401 || s.status == 403 || s.status == 500 {
					h.t.Errorf("%s as %s: %d\n%s", r.Pattern, v.name, s.status, s.body)
				}
			}
		case access.LinkHolder:
			s := h.try(p.nobody, r, true)
			if s.status != 404 && s.status != 410 && !(r.Pattern == "GET /portal/link/{token}" && s.status == 200) { // a page with a button, so that programs which look at mails use up nothing
				h.t.Errorf("%s with no link: %d %s", r.Pattern, s.status, s.to())
			}
		case access.KeyHolder:
			h.sentAway(r, p.nobody, p.wrong, p.revoked, p.owner, p.ada, p.looker)
		case access.Member, access.Permitted:
			h.sentAway(r, p.nobody, p.ended, p.ada, p.all)
			if !stays {
				continue
			}
			h.let(r, p.owner)
			if r.Besides == ownersAlone {
				if s := h.try(p.admin, r, false); s.status != http.StatusForbidden {
					h.t.Errorf("%s as an admin: %d", r.Pattern, s.status)
				}
			} else {
				h.let(r, p.admin)
			}
			if r.Fresh {
				if s := h.try(p.hurried, r, true); s.status != http.StatusUnprocessableEntity || !strings.Contains(s.body, "Confirm that it is you") {
					h.t.Errorf("%s with a session alone: %d\n%s", r.Pattern, s.status, s.body)
				}
			}
		case access.Customer, access.Alone:
			h.sentAway(r, p.nobody, p.left, p.owner, p.all)
			if strings.Contains(path, "{") {
				if s := h.try(p.other, r, false); s.status != http.StatusNotFound {
					h.t.Errorf("%s as another customer: %d %s", r.Pattern, s.status, s.to())
				} else {
					p.other.hides("", r.Pattern, s)
				}
			}
			if !stays {
				continue
			}
			h.let(r, p.ada)
			if r.Who == access.Customer {
				h.let(r, p.looker)
			} else if s := h.try(p.looker, r, false); s.status != http.StatusConflict || !strings.Contains(s.body, "Only the customer can do this") {
				h.t.Errorf("%s as who looks on: %d\n%s", r.Pattern, s.status, s.body)
			}
		case access.Gateway:
			if s := h.try(p.nobody, r, true); s.status != http.StatusBadRequest {
				h.t.Errorf("%s without a signature: %d", r.Pattern, s.status)
			}
		case access.Operator:
			if s, far := h.try(p.nobody, r, true), p.nobody.send(method, path, "", "X-Forwarded-For", "192.0.2.1"); s.status != 200 || far.status != 404 {
				h.t.Errorf("%s: %d from near, %d from far", r.Pattern, s.status, far.status)
			}
		default:
			h.t.Errorf("%s: nobody walks what is for %v", r.Pattern, r.Who)
		}
	}
	// Without each of the permissions, and with nothing but them.
	var refused []id.ID
	for _, group := range byNeeds(rows, access.KeyHolder) {
		needs := group[0].Needs
		for _, lost := range needs {
			v := h.caller("a key", h.key(without(everything, lost)...))
			refused = append(refused, keyID(v.key))
			for _, r := range group {
				h.refused(r, v, lost)
			}
		}
		v := h.caller("a key with no more", h.key(orAny(needs)...))
		for _, r := range group {
			h.let(r, v)
			h.besides(r, v, func(list ...team.Permission) { h.allow(v.key, list...) })
		}
	}
	for _, group := range byNeeds(rows, access.Permitted, access.Member) {
		needs := group[0].Needs
		for _, lost := range needs {
			h.grant(p.benID, without(everything, lost)...)
			for _, r := range group {
				h.refused(r, p.ben, lost)
			}
		}
		h.grant(p.benID, needs...)
		for _, r := range group {
			if slices.Contains(leaving, r.Pattern) || r.Besides == ownersAlone {
				continue
			}
			if method, _ := r.Split(); method != http.MethodGet || extras[r.Besides].way != "" || r.Besides == "" {
				h.let(r, p.ben)
			}
			h.besides(r, p.ben, func(list ...team.Permission) { h.grant(p.benID, list...) })
		}
	}
	h.denied(refused)
}

const ownersAlone = "owners alone"

// extras are the requests that need more than their row says, by the words of the row.
var extras = map[string]struct {
	way, body string
	needs     team.Permission
}{
	"exports.edit for a download":                   {way: "?format=csv", needs: team.ExportsEdit},
	"personal_data.view for a new e-mail address":   {body: `{"email":"else@example.net"}`, needs: team.PersonalDataView},
	"personal_data.view where there is a note":      {needs: team.PersonalDataView},
	"personal_data.view where there are attributes": {needs: team.PersonalDataView},
	"the permission to make the change by hand":     {needs: team.CustomersEdit}, // the entry is a customer's
}

// besides tries what only some requests of a row need: refused with all permissions but that one, let with the row's and that one.
func (h *house) besides(r access.Route, v *visitor, may func(...team.Permission)) {
	h.t.Helper()
	if r.Besides == "" {
		return
	}
	extra, ok := extras[r.Besides]
	if !ok {
		h.t.Errorf("%s: nobody tries %q", r.Pattern, r.Besides)
		return
	}
	method, _ := r.Split()
	send := func(strange bool) seen {
		return v.send(method, h.address(r.Pattern, strange)+extra.way, cmp.Or(extra.body, empty(r)))
	}
	may(without(team.Everything().List(), extra.needs)...)
	if s := send(false); s.status != http.StatusForbidden || !strings.Contains(s.body, string(extra.needs)) {
		h.t.Errorf("%s%s as %s without %s: %d\n%s", r.Pattern, extra.way, v.name, extra.needs, s.status, s.body)
	}
	may(append(slices.Clone(r.Needs), extra.needs)...)
	if s := send(strange(r)); s.enters() || s.status == http.StatusForbidden || s.status == http.StatusInternalServerError {
		h.t.Errorf("%s%s as %s with %s: %d\n%s", r.Pattern, extra.way, v.name, extra.needs, s.status, s.body)
	}
	may(orAny(r.Needs)...)
}

// denied wants an entry about each who was refused.
func (h *house) denied(keys []id.ID) {
	h.t.Helper()
	told := map[id.ID]bool{}
	for e, err := range h.i.Store.Events(h.t.Context(), h.i.Store.Read, store.Closed, 0, 0) {
		must(h.t, err)
		if e.Type == "access.denied" {
			told[id.ID(e.Actor.ID)] = true
		}
	}
	for _, key := range keys {
		if !told[key] {
			h.t.Errorf("no entry says that %s was refused", key)
		}
	}
}

// losing is about who had a permission a moment ago: kept answers, and answers that go on.
func (p people) losing(h *house, rows []access.Route) {
	for n, group := range byNeeds(rows, access.KeyHolder) {
		needs := group[0].Needs
		v := h.caller("a key that loses its permission", h.key(orAny(needs)...))
		first := map[string]seen{}
		asked := func(r access.Route) (seen, bool) {
			if method, _ := r.Split(); method == http.MethodGet {
				return seen{}, false
			}
			return h.try(v, r, true, "Idempotency-Key", fmt.Sprintf("key-%d", n)+r.Pattern), true
		}
		for _, r := range group {
			first[r.Pattern], _ = asked(r)
		}
		for _, lost := range needs {
			h.allow(v.key, without(team.Everything().List(), lost)...)
			for _, r := range group {
				if s, ok := asked(r); ok && (s.status != http.StatusForbidden || !strings.Contains(s.body, string(lost))) {
					h.t.Errorf("%s, the first answer again, without %s: %d\n%s", r.Pattern, lost, s.status, s.body)
				}
			}
		}
		if len(needs) > 0 {
			h.allow(v.key, needs...)
		}
		for _, r := range group {
			if s, ok := asked(r); ok && s.status != first[r.Pattern].status {
				h.t.Errorf("%s, the first answer again: %d, then %d", r.Pattern, first[r.Pattern].status, s.status)
			}
		}
	}
	streams := 0
	for _, r := range rows {
		if r.Stream {
			streams++
			p.losingStream(h, r)
		}
	}
	if streams < 4 {
		h.t.Errorf("only %d routes go on", streams)
	}
}

// happen makes an entry for every log that there is, with a canary where it can have one.
func (p people) happen(h *house) {
	h.t.Helper()
	word := func() string { return fmt.Sprintf("%s %s", canary, h.i.IDs.New(id.Request)) }
	p.all.api("PATCH", "/customers/"+h.ids["ada"], fmt.Sprintf(`{"last_name":%q}`, word()))
	p.all.api("PUT", "/subscriptions/"+h.ids["ada subscription"]+"/note", fmt.Sprintf(`{"note":%q}`, word()))
	p.all.api("PATCH", "/products/"+h.ids["product"], fmt.Sprintf(`{"title":%q}`, "Tea "+string(h.i.IDs.New(id.Request))))
}

// losingStream follows a stream, first without the sight of personal values, then without its permission.
func (p people) losingStream(h *house, r access.Route) {
	h.t.Helper()
	full := append(slices.Clone(r.Needs), team.PersonalDataView)
	v := p.ben
	may := func(list ...team.Permission) { h.grant(p.benID, list...) }
	if r.Who == access.KeyHolder {
		v = h.caller("a key", h.key(full...))
		may = func(list ...team.Permission) { h.allow(v.key, list...) }
	}
	may(full...)
	ctx, cancel := context.WithTimeout(h.t.Context(), 30*time.Second)
	defer cancel()
	at := h.address(r.Pattern, false)
	res, err := v.client.Do(v.request(ctx, http.MethodGet, at, ""))
	must(h.t, err)
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		h.t.Errorf("%s: %d", r.Pattern, res.StatusCode)
		return
	}
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, 1<<20)
	seq := int64(-1)
	told := func(after int64) (string, bool) { // the next entry after one
		data := ""
		for lines.Scan() {
			switch text := lines.Text(); {
			case strings.HasPrefix(text, "id: "):
				seq, _ = strconv.ParseInt(text[len("id: "):], 10, 64)
			case strings.HasPrefix(text, "data: ") && !strings.HasPrefix(text, `data: {"seq":`):
				data = text
			case text == "" && data != "":
				if seq > after {
					return data, true
				}
				data = ""
			}
		}
		return "", false
	}
	mark := h.i.Program.Head()
	p.happen(h)
	if _, ok := told(mark); !ok {
		h.t.Errorf("%s: nothing is told", r.Pattern)
		return
	}
	may(r.Needs...)
	mark = h.i.Program.Head()
	p.happen(h)
	if data, ok := told(mark); !ok {
		h.t.Errorf("%s ends for who may still follow it", r.Pattern)
	} else if shows(data) != "" {
		h.t.Errorf("%s still shows %q", r.Pattern, shows(data))
	}
	may(without(team.Everything().List(), r.Needs[0])...)
	before := h.i.Program.Head()
	p.happen(h)
	rest, err := io.ReadAll(res.Body)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		h.t.Errorf("%s goes on for who may not follow it any more: %v", r.Pattern, err)
	}
	for n := before + 1; n <= h.i.Program.Head(); n++ {
		if strings.Contains(string(rest), fmt.Sprintf("\nid: %d\n", n)) {
			h.t.Errorf("%s tells of entry %d to who may not follow it any more", r.Pattern, n)
		}
	}
}
