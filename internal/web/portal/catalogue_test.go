package portal

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"perennial/internal/act"
	"perennial/internal/fault/faulttest"
	"perennial/internal/journal"
)

// TestEveryLanguageIsComplete fails for a key that a language lacks, and for a text with other variables than the English one.
func TestEveryLanguageIsComplete(t *testing.T) {
	if err := catalogue().Check(); err != nil {
		t.Error(err)
	}
	var names []string
	for _, l := range languages {
		names = append(names, l.name)
	}
	slices.Sort(names)
	if have := slices.Sorted(slices.Values(catalogue().Languages())); !slices.Equal(have, names) {
		t.Errorf("the menu offers %q, the catalogue has %q", names, have)
	}
}

// texts are the calls of say and the words of a folder's source.
type texts struct {
	literals map[string]bool
	calls    []spoken
}

type spoken struct {
	at, key string
	names   []string
	exact   bool // all arguments are in sight
}

func sources(t *testing.T, folders ...string) texts {
	t.Helper()
	out := texts{literals: map[string]bool{}}
	for _, folder := range folders {
		files, err := filepath.Glob(filepath.Join(folder, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range files {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			set := token.NewFileSet()
			f, err := parser.ParseFile(set, name, b, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(f, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.BasicLit:
					if s, err := strconv.Unquote(n.Value); err == nil && n.Kind == token.STRING {
						out.literals[s] = true
					}
				case *ast.CallExpr:
					if c, ok := spokenBy(n); ok {
						c.at = set.Position(n.Pos()).String()
						out.calls = append(out.calls, c)
					}
				}
				return true
			})
		}
	}
	return out
}

// spokenBy reads say(ctx, "key", …), c.say("key", …) and words.Say("key", …).
func spokenBy(n *ast.CallExpr) (spoken, bool) {
	var c spoken
	args := n.Args
	switch f := n.Fun.(type) {
	case *ast.Ident:
		if f.Name != "say" || len(args) < 2 {
			return c, false
		}
		args = args[1:]
	case *ast.SelectorExpr:
		if f.Sel.Name != "say" && f.Sel.Name != "Say" || len(args) == 0 {
			return c, false
		}
	default:
		return c, false
	}
	word := func(e ast.Expr) (string, bool) {
		l, ok := e.(*ast.BasicLit)
		if !ok || l.Kind != token.STRING {
			return "", false
		}
		s, err := strconv.Unquote(l.Value)
		return s, err == nil
	}
	var ok bool
	if c.key, ok = word(args[0]); !ok {
		return c, false
	}
	c.exact = n.Ellipsis == token.NoPos
	for i := 1; i < len(args); i += 2 {
		name, ok := word(args[i])
		if !ok {
			c.exact = false
		}
		c.names = append(c.names, name)
	}
	slices.Sort(c.names)
	return c, true
}

var likeKey = regexp.MustCompile(`^[a-z_]+(\.[a-z0-9_]+)+$`)

// TestTheSourceAndTheCatalogueAgree fails for a key that the source says and no language has, for one that nobody says, and for a call
// that fills other variables than the text has.
func TestTheSourceAndTheCatalogueAgree(t *testing.T) {
	src := sources(t, ".")
	families := map[string]bool{}
	for _, key := range catalogue().Keys() {
		family, _, _ := strings.Cut(key, ".")
		families[family] = true
	}
	for _, c := range src.calls {
		variables, ok := catalogue().Variables(c.key)
		if !ok {
			t.Errorf("%s: there is no %s", c.at, c.key)
		} else if c.exact && !slices.Equal(variables, c.names) {
			t.Errorf("%s: %s is filled with %q, and has %q", c.at, c.key, c.names, variables)
		}
	}
	for s := range src.literals {
		family, _, _ := strings.Cut(s, ".")
		if _, isType := journal.Lookup(journal.Name(s)); !likeKey.MatchString(s) || !families[family] || isType {
			continue
		}
		if _, ok := catalogue().Variables(s); !ok {
			t.Errorf("there is no %s", s)
		}
	}
	rules := sources(t, "../../subscription", "../../billing", "../../customer", "../../catalog", "../../program", "../../kinds", "../../plain", "../../settings", "../../privacy", "../../fault", "../../team", "../../cancelflow", "../ui", ".")
	ofActs := map[string]bool{}
	for _, a := range act.All() {
		for _, part := range []string{"title", "verb", "lead"} {
			ofActs["action."+strings.ReplaceAll(a.Name, "-", "_")+"."+part] = true
		}
		for _, f := range a.Fields {
			ofActs["field."+f.Word], ofActs["field."+f.Word+"_hint"] = true, true
			if _, ok := catalogue().Variables("field." + f.Word); !ok {
				t.Errorf("there is no field.%s, for %s of %s", f.Word, f.Name, a.Name)
			}
		}
	}
	for _, key := range catalogue().Keys() {
		if src.literals[key] || ofActs[key] {
			continue
		}
		if code, ok := strings.CutPrefix(key, "refusal."); ok {
			status, isStatus := strings.CutPrefix(code, "status_")
			if rules.literals[code] || isStatus && rules.literals[status] || strings.HasPrefix(code, "unknown_") && rules.literals["unknown_"] {
				continue
			}
		}
		if typ, ok := strings.CutPrefix(key, "log."); ok {
			if known(typ) {
				continue
			}
			if i := strings.LastIndexByte(typ, '.'); i > 0 && known(typ[:i]) && told[journal.Name(typ[:i])] != nil && (src.literals[typ[i+1:]] || typ[:i] == "customer.logged_in") {
				continue
			}
		}
		t.Errorf("nobody says %s", key)
	}
}

func known(typ string) bool {
	_, ok := journal.Lookup(journal.Name(typ))
	return ok
}

// TestEveryTypeIsToldOrKept wants a decision for every type that a subscriber could see.
func TestEveryTypeIsToldOrKept(t *testing.T) {
	for _, typ := range journal.Types() {
		if typ.Log == journal.ActivityLog || slices.Contains(kept, typ.Name) {
			continue
		}
		if !slices.ContainsFunc(catalogue().Keys(), func(k string) bool {
			return k == "log."+string(typ.Name) || strings.HasPrefix(k, "log."+string(typ.Name)+".")
		}) {
			t.Errorf("%s is neither told nor kept from subscribers", typ.Name)
		}
	}
}

var (
	inTags  = regexp.MustCompile(`(?s)<script.*?</script>|<[^>]*>`)
	rawKeys = regexp.MustCompile(`\b(log|refusal|action|field|frame|history|account|next|rhythm|why)\.[a-z_]+`)
)

// TestEveryPageInEveryLanguage looks at each page and finds no key, no variable that was not filled, and nothing English.
func TestEveryPageInEveryLanguage(t *testing.T) {
	if testing.Short() {
		t.Skip("one goroutine does it all, and takes long")
	}
	w := newWorld(t)
	v := w.signIn("ada@example.com")
	at := "/portal/subscriptions/" + string(w.hers)
	w.want(v.post(at+"/skip", "date", "2027-04-03", "comment", "Holiday"), 200, at)
	w.want(v.post(at+"/once", "variant_id", string(w.other), "quantity", "2"), 200, at)
	w.want(v.post(at+"/order-now"), 200, at)
	paths := []string{"/portal", at, "/portal/orders", "/portal/history", "/portal/account", "/portal/addresses/new", "/portal/nothing-here"}
	for _, a := range actions {
		if !a.part {
			paths = append(paths, at+"/"+a.name)
		}
	}
	english := catalogue().Printer("en", "en")
	for _, l := range languages {
		w.want(v.post("/portal/language", "language", l.name, "back", at), 200, at, `<html lang="`+l.name+`"`)
		words := catalogue().Printer(l.name, l.name)
		for _, path := range paths {
			body := v.get(path).body
			text := inTags.ReplaceAllString(body, "\x00")
			if strings.ContainsAny(text, "{}") || rawKeys.MatchString(text) {
				t.Errorf("%s in %s: %s", path, l.name, rawKeys.FindString(text))
			}
			for _, key := range catalogue().Keys() {
				variables, _ := catalogue().Variables(key)
				if s := english.Say(key); len(variables) == 0 && s != words.Say(key) && !slices.ContainsFunc(catalogue().Keys(), func(k string) bool { return words.Say(k) == s }) && strings.Contains(text, "\x00"+s+"\x00") {
					t.Errorf("%s in %s says %q", path, l.name, s)
				}
			}
		}
	}
	// The choice is the customer's: it holds on another device, and is an entry like any other.
	if e := w.last("customer.profile_updated"); string(e.Changes[0].After) != `"es"` || e.Actor.ID != string(w.ada) {
		t.Errorf("the entry: %+v", e)
	}
	head := w.Program.Head()
	v.post("/portal/language", "language", "es", "back", "https://evil.example/portal")
	w.want(v.post("/portal/language", "language", "xx"), 400, "/portal/language")
	if w.Program.Head() != head {
		t.Error("the same choice again is an entry")
	}
	other := w.signIn("ada@example.com")
	w.want(other.get("/portal"), 200, "/portal", `<html lang="es"`, "Hola, Ada")
}

// TestTheLanguageOfAStranger is what the browser asks for, else the store's; a choice is stronger than both.
func TestTheLanguageOfAStranger(t *testing.T) {
	w := newWorld(t)
	v := w.visitor()
	v.language = "fr-CA,fr;q=0.9,en;q=0.8"
	w.want(v.get("/portal/signin"), 200, "/portal/signin", `<html lang="fr"`, "Votre adresse e-mail")
	w.want(v.post("/portal/language", "language", "de", "back", "/portal/signin"), 200, "/portal/signin", `<html lang="de"`)
	w.want(v.get("/portal/signin"), 200, "/portal/signin", `<html lang="de"`)
	v.post("/portal/signin", "email", "ada@example.com")
	w.code()
	if m := w.mail.sent[0]; !strings.HasSuffix(m.Subject, "ist Ihr Code für Test shop") {
		t.Errorf("the message: %q", m.Subject)
	}
}

// teamsOnly are refusals that no form of the Portal can lead to, with what leads to them.
var teamsOnly = map[string][]string{
	"creating a subscription": {"interval_out_of_range", "interval_unknown", "anchor_day_without_months", "one_or_the_other", "policies_do_not_fit", "selling_plan_archived",
		"unknown_customer", "unknown_selling_plan", "wrong_currency"},
	"the team's notes and attributes":             {"too_many"},
	"making, changing and importing customers":    {"email_taken", "email_invalid", "locale_invalid"},
	"the gateway's references of payment methods": {"card_expired", "card_number", "last4_invalid"},
	"revealing personal data":                     {"not_revealable"},
	"editing cancel flows": {"choose_one", "discount_code_invalid", "most_below_least", "not_for_this_kind", "not_one_of", "not_sorted", "session_incomplete", "status_archived",
		"status_unknown", "too_deep", "too_many_flows", "too_many_reasons", "unknown_thing", "unknown_cancel_flow", "unknown_cancel_reason"},
	"two customers in one change":     {"other_customer"},
	"addresses of pictures and links": {"url_invalid"},
	"the engine and the setting up":   {"frame_ancestors", "not_due"},
}

// TestEveryRefusalIsSaid wants words for every code that the rules of a subscriber's actions refuse with, in all languages, made of nothing
// but the code's arguments. No words are left of a code that is gone.
func TestEveryRefusalIsSaid(t *testing.T) {
	all, err := faulttest.Read("../../..")
	if err != nil {
		t.Fatal(err)
	}
	ours := slices.DeleteFunc(slices.Clone(all), func(r faulttest.Refusal) bool {
		return !slices.Contains([]string{"internal/subscription", "internal/customer", "internal/cancelflow", "internal/kinds", "internal/plain", "internal/web/portal"}, r.Package)
	})
	team := slices.Concat(slices.Collect(maps.Values(teamsOnly))...)
	codes := slices.Concat(faulttest.Codes(ours, true), faulttest.Codes(ours, false))
	for _, c := range codes {
		said := slices.DeleteFunc(catalogue().Keys(), func(key string) bool {
			return !names(c.Name, strings.TrimPrefix(key, "refusal.")) || !strings.HasPrefix(key, "refusal.")
		})
		if len(said) == 0 && !slices.Contains(team, c.Name) {
			t.Errorf("nobody says %s: %q", c.Name, c.Sentence)
		}
	}
	for _, code := range team {
		if _, said := catalogue().Variables("refusal." + code); said {
			t.Errorf("%s is said, so it is not the team's alone", code)
		}
	}
	for _, key := range catalogue().Keys() {
		code, ok := strings.CutPrefix(key, "refusal.")
		if !ok {
			continue
		}
		variables, _ := catalogue().Variables(key)
		known := false
		for _, r := range all {
			if !names(r.Code, code) {
				continue
			}
			known = true
			ours := strings.HasPrefix(r.Package, "internal/subscription") || r.Field
			if missing := slices.DeleteFunc(slices.Clone(variables), func(v string) bool { return slices.Contains(r.Args, v) }); ours && len(missing) > 0 {
				t.Errorf("%s says %q, which %s does not give with it", key, missing, r.At)
			}
		}
		if !known {
			t.Errorf("no rule refuses with %s", code)
		}
	}
}

// names says whether a code is one, or one of the many of an open end.
func names(code, one string) bool {
	if begins, open := strings.CutSuffix(code, "…"); open {
		return strings.HasPrefix(one, begins)
	}
	return code == one
}
