package portal

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

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
	rules := sources(t, "../../subscription", "../../billing", "../../customer", "../../catalog", "../../program", "../../kinds", "../../settings", "../../privacy", "../../fault", "../../team", "../../cancelflow", "../ui", ".")
	for _, key := range catalogue().Keys() {
		if src.literals[key] {
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

// teamsOnly are refusals that no form of the Portal can lead to.
var teamsOnly = []string{"email_taken", "frame_ancestors", "not_due", "other_customer", "status_archived", "too_deep", "too_many_flows", "too_many_reasons"}

// TestEveryRefusalIsSaid wants a text for every code that the rules of a subscriber's actions refuse with.
func TestEveryRefusalIsSaid(t *testing.T) {
	for _, code := range refusalCodes(t, "../../subscription", "../../customer", "../../cancelflow", ".") {
		if _, ok := catalogue().Variables("refusal." + code); !ok && !slices.Contains(teamsOnly, code) {
			t.Errorf("nobody says %s", code)
		}
	}
}

// refusalCodes are the codes of fault.New and fault.Wrap, as far as they are literals.
func refusalCodes(t *testing.T, folders ...string) []string {
	t.Helper()
	var out []string
	for _, folder := range folders {
		files, err := filepath.Glob(filepath.Join(folder, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range files {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(f, func(n ast.Node) bool {
				c, ok := n.(*ast.CallExpr)
				if !ok {
					return true
				}
				f, ok := c.Fun.(*ast.SelectorExpr)
				if !ok || f.Sel.Name != "New" && f.Sel.Name != "Wrap" {
					return true
				}
				if p, ok := f.X.(*ast.Ident); !ok || p.Name != "fault" {
					return true
				}
				for _, a := range c.Args[:min(3, len(c.Args))] { // the code is before the sentence, and holds no space
					if l, ok := a.(*ast.BasicLit); ok && l.Kind == token.STRING && !strings.Contains(l.Value, " ") {
						out = append(out, strings.Trim(l.Value, `"`))
					}
				}
				return true
			})
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// TestWhatIsWrongIsStillSaidSo fails when a rule says something else of a field than the Portal knows.
func TestWhatIsWrongIsStillSaidSo(t *testing.T) {
	rules := sources(t, "../../subscription", "../../customer", "../../plain")
	for _, w := range wrongs {
		found := false
		for s := range rules.literals {
			found = found || strings.HasPrefix(s, w.begins)
		}
		if !found {
			t.Errorf("no rule says %q any more", w.begins)
		}
	}
}
