package message_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/journal/journaltest"
	"perennial/internal/message"
	"perennial/internal/plain"
)

func world() *journaltest.World {
	w := journaltest.NewWorld("shop_k3m8z2qa")
	w.Fresh[journal.NotificationTemplate] = func(id.ID) func() journal.State { return func() journal.State { return new(message.Template) } }
	return w
}

var now = time.Date(2027, 3, 3, 12, 0, 0, 0, time.UTC)

// Every message has a text in every language that passes the rules, with the same variables as the English one, and comes out whole.
func TestDefaults(t *testing.T) {
	for _, k := range message.Kinds {
		english := message.Says(k.Name, nil, "en")
		for _, language := range message.Languages {
			x := message.Says(k.Name, nil, language)
			if x.Language != language || x.Subject == "" || x.Body == "" {
				t.Fatalf("%s in %s: got %+v", k.Name, language, x)
			}
			if err := message.Check(&message.Template{Name: k.Name, Texts: []message.Text{x}}); err != nil {
				t.Errorf("%s in %s: %v %v", k.Name, language, err, fault.As(err).Fields)
			}
			if got, want := variables(x), variables(english); !slices.Equal(got, want) {
				t.Errorf("%s in %s: variables %v, want %v", k.Name, language, got, want)
			}
			m, err := message.Render(x, "Harbor", message.Sample("Harbor"))
			if err != nil || strings.ContainsAny(m.Subject+m.Text, "{}") || strings.Contains(m.HTML, "{{") || strings.Contains(m.Text, "](") || strings.Contains(m.Subject+m.Text+m.HTML, "qvq") {
				t.Errorf("%s in %s: %v\n%s\n%s", k.Name, language, err, m.Subject, m.Text)
			}
		}
	}
}

func variables(x message.Text) []string {
	var out []string
	for _, part := range strings.Split(x.Subject+" "+x.Body, "{{")[1:] {
		name, _, _ := strings.Cut(part, "}}")
		if !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// Nothing in a value becomes Markdown or HTML, or a line of the header.
func TestValuesAreNoMarkup(t *testing.T) {
	for _, evil := range []string{"<script>alert(1)</script>", "[click](https://evil.example)", "**bold**", `"><img src=x onerror=alert(1)>`, "a\r\nBcc: everybody@example.com", "{{code}}", "qvq0z", "`x`", "# head"} {
		v := message.Sample("Harbor")
		v["customer_first_name"], v["shop_name"], v["items"] = evil, evil, "\uE000 "+evil
		m, err := message.Render(message.Says(message.SubscriptionCreated, nil, "en"), evil, v)
		if err != nil {
			t.Fatal(err)
		}
		for _, bad := range []string{"<script", "<img", "evil.example\"", "<strong>", "<code>"} {
			if strings.Contains(m.HTML, bad) {
				t.Errorf("%q: %s is in the HTML", evil, bad)
			}
		}
		if strings.ContainsAny(m.Subject, "\r\n") {
			t.Errorf("%q: the subject %q", evil, m.Subject)
		}
		if !strings.Contains(m.Text, "Hello "+evil) {
			t.Errorf("%q is not in the text as it is:\n%s", evil, m.Text)
		}
	}
}

func TestBothParts(t *testing.T) {
	x := message.Text{Language: "en", Subject: "For {{customer_first_name}}", Body: "Hello {{customer_first_name}},\n\n## What *you* get\n\n{{items}}\\\n1 \\* tea &amp; more\n\n- [Skip]({{skip_link}})\n- [Move]({{reschedule_link}})\n\n> 1. said\n> 2. so\n\n[Nowhere]({{pay_link}})\n\nSee {{portal_link}} or <me@shop.example>."}
	m, err := message.Render(x, "Harbor", map[string]string{"items": "2 × <b>", "reschedule_link": "https://shop.example/r", "portal_link": "https://shop.example/p"})
	if err != nil {
		t.Fatal(err)
	}
	want := "Hello,\n\nWhat you get\n\n2 × <b>\n1 * tea & more\n\n- Move: https://shop.example/r\n\n> 1. said\n> 2. so\n\nSee https://shop.example/p or me@shop.example.\n"
	if diff := cmp.Diff(want, m.Text); diff != "" || m.Subject != "For" {
		t.Errorf("the subject %q, the text (-want +got):\n%s", m.Subject, diff)
	}
	for _, part := range []string{"Hello,</p>", `">What <em>you</em> get</h2>`, "2 × &lt;b&gt;<br>1 * tea &amp; more", `<a style="color:#1f4fd8" href="https://shop.example/r">Move</a>`, `href="mailto:me@shop.example"`} {
		if !strings.Contains(m.HTML, part) {
			t.Errorf("%s is not in the HTML:\n%s", part, m.HTML)
		}
	}
}

// TestNothingToOffer leaves out a list of links that lead nowhere, with the words before it.
func TestNothingToOffer(t *testing.T) {
	for _, language := range message.Languages {
		m, err := message.Render(message.Says(message.OrderUpcoming, nil, language), "Harbor", map[string]string{"next_date": "3 April", "items": "tea", "total": "1", "subscription_link": "https://shop.example/s"})
		if err != nil || strings.Contains(m.Text, "- ") || strings.Count(m.Text, "\n\n") != 2 || strings.Contains(m.HTML, "<ul") || strings.Count(m.HTML, "<a ") != 1 {
			t.Errorf("%s: %v\n%s", language, err, m.Text)
		}
	}
}

func TestALoneLinkIsAButton(t *testing.T) {
	m, err := message.Render(message.Text{Language: "en", Subject: "S", Body: "See [here]({{link}}), or:\n\n[Open it]({{link}})"}, "Harbor", map[string]string{"link": "https://shop.example/a?b=1&c=2"})
	if err != nil || strings.Count(m.HTML, "inline-block") != 1 || !strings.Contains(m.HTML, `href="https://shop.example/a?b=1&amp;c=2"`) || !strings.Contains(m.Text, "Open it: https://shop.example/a?b=1&c=2") {
		t.Errorf("got %v\n%s\n%s", err, m.HTML, m.Text)
	}
}

func TestWrongTexts(t *testing.T) {
	for _, c := range []struct {
		name, at string
		text     message.Text
	}{
		{"no subject", "/subject", message.Text{Language: "en", Body: "x"}},
		{"no body", "/body", message.Text{Language: "en", Subject: "x", Body: " "}},
		{"an unknown variable", "/body", message.Text{Language: "en", Subject: "x", Body: "{{password}}"}},
		{"another message's variable", "/subject", message.Text{Language: "en", Subject: "{{code}}", Body: "x"}},
		{"half a variable", "/body", message.Text{Language: "en", Subject: "x", Body: "{{items}"}},
		{"HTML", "/body", message.Text{Language: "en", Subject: "x", Body: "<b>x</b>"}},
		{"a picture", "/body", message.Text{Language: "en", Subject: "x", Body: "![x](https://x.example/p.png)"}},
		{"a script behind a link", "/body", message.Text{Language: "en", Subject: "x", Body: "[x](javascript:alert(1))"}},
		{"a name as an address", "/body", message.Text{Language: "en", Subject: "x", Body: "[x]({{customer_first_name}})"}},
		{"half an address", "/body", message.Text{Language: "en", Subject: "x", Body: "[x](https://evil.example/{{portal_link}})"}},
		{"two lines", "/subject", message.Text{Language: "en", Subject: "x\ny", Body: "x"}},
		{"another language", "/language", message.Text{Language: "it", Subject: "x", Body: "x"}},
		{"a variable behind a reference", "/body", message.Text{Language: "en", Subject: "x", Body: "[x]\n\n[x]: {{items}}"}},
		{"a character of ours", "/body", message.Text{Language: "en", Subject: "x", Body: "[x](\uE003)"}},
		{"a character of ours, in numbers", "/body", message.Text{Language: "en", Subject: "x", Body: "[x](&#xE003;)"}},
		{"code", "/body", message.Text{Language: "en", Subject: "x", Body: "a\n\n    x"}},
		{"a deep quotation", "/body", message.Text{Language: "en", Subject: "x", Body: strings.Repeat("> ", 40) + "x"}},
		{"too long", "/body", message.Text{Language: "en", Subject: "x", Body: strings.Repeat("x", 5001)}},
	} {
		_, _, err := world().Run(journal.Bind(message.UpdateText{Name: message.Paused, Text: c.text}), now)
		if f := fault.As(err).Fields; err == nil || len(f) == 0 || f[0].Pointer != c.at {
			t.Errorf("%s: got %v, %v", c.name, err, f)
		}
	}
}

func TestTemplates(t *testing.T) {
	w := world()
	do := func(want string, c journal.Command) {
		t.Helper()
		_, events, err := w.Run(c, now)
		got := ""
		if len(events) > 0 {
			got = string(events[0].Type)
		}
		if err != nil || got != want {
			t.Errorf("%T: got %q, %v, want %q", c, got, err, want)
		}
	}
	text := message.Text{Language: "en", Subject: "Paused", Body: "Until then."}
	do("", journal.Bind(message.Enable{Name: message.Paused}))
	do("", journal.Bind(message.UpdateText{Name: message.Paused, Text: message.Says(message.Paused, nil, "de")}))
	do("notification_template.disabled", journal.Bind(message.Disable{Name: message.Paused}))
	do("notification_template.updated", journal.Bind(message.UpdateText{Name: message.Paused, Text: text}))
	do("", journal.Bind(message.UpdateText{Name: message.Paused, Text: text}))
	do("notification_template.enabled", journal.Bind(message.Enable{Name: message.Paused}))
	state := w.States[journal.Ref{Kind: journal.NotificationTemplate, ID: "paused"}].(*message.Template)
	if got := message.Says(message.Paused, state, "en"); got != text {
		t.Errorf("the store's text: got %+v", got)
	}
	if got := message.Says(message.Paused, state, "fr"); got != message.Says(message.Paused, nil, "fr") {
		t.Errorf("another language: got %+v", got)
	}
	do("notification_template.updated", journal.Bind(message.UpdateText{Name: message.Paused, Text: message.Says(message.Paused, nil, "en")})) // as the program says it: kept no longer
	if state := w.States[state.Ref()].(*message.Template); len(state.Texts) != 0 {
		t.Errorf("texts: got %+v", state.Texts)
	}
	for code, c := range map[string]journal.Command{"message_needed": journal.Bind(message.Disable{Name: message.LoginCode}), "unknown_notification_template": journal.Bind(message.Disable{Name: "x"})} {
		if _, _, err := w.Run(c, now); fault.As(err).Code != code {
			t.Errorf("got %v, want %s", err, code)
		}
	}
}

// Whatever is accepted comes out, never as markup of a value, and with no character that a text may not have.
func FuzzTemplate(f *testing.F) {
	f.Add("Hello {{customer_first_name}}", "# x\n\n[a]({{portal_link}})\n\n**{{items}}**")
	f.Add("x &#8238;", "&#8238; \\&#8238; `&#8238;` &amp;#8238; [&rlm;](https://shop.example/&#8238;) {{items}}&#xE000;")
	f.Add("x", "a `{{items}}` b\n\n    {{items}}\n\n> {{items}}\n\n1. {{items}}")
	f.Fuzz(func(t *testing.T, subject, body string) {
		x := message.Text{Language: "en", Subject: subject, Body: body}
		if message.Check(&message.Template{Name: message.Paused, Texts: []message.Text{x}}) != nil {
			return
		}
		v := message.Sample("Harbor")
		v["items"], v["customer_first_name"] = "<evil>", "<evil>"
		m, err := message.Render(x, "Harbor", v)
		if err != nil || strings.Contains(m.HTML, "<evil>") || strings.ContainsAny(m.Subject, "\r\n") {
			t.Fatalf("%v\n%s\n%s", err, m.Subject, m.HTML)
		}
		if why := plain.MultiLine(m.Text, len(m.Text)); why != nil {
			t.Fatalf("%s\n%q", why, m.Text)
		}
	})
}
