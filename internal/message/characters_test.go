package message_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"perennial/internal/message"
)

// What Markdown says of single characters is read once, in its place: not in code, not in a subject, not again in what came of it.
func TestCharacters(t *testing.T) {
	for _, c := range []struct{ body, text string }{
		{`1 \* 2 &amp; 3 &copy; &#42;`, "1 * 2 & 3 © *"},
		{`\&amp; &amp;lt; &#38;amp; &#92;* &amp;#42;`, `&amp; &lt; &amp; \* &#42;`},
		{`& &; &nothing; a\b \`, `& &; &nothing; a\b \`},
		{"`\\* &amp; {{items}}`", `\* &amp; &lt;\*`},
		{`{{items}}\*{{items}}`, `&lt;\**&lt;\*`},
		{`[Look](https://shop.example/?a=1&amp;b=\*)`, "Look: https://shop.example/?a=1&b=*"},
	} {
		x := message.Text{Language: "en", Subject: `Tea &amp; \* {{items}}`, Body: c.body}
		if err := x.Check(message.Paused); err != nil {
			t.Errorf("%s: %v", c.body, err)
			continue
		}
		m, err := message.Render(x, "Harbor", map[string]string{"items": `&lt;\*`})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(message.Mail{Subject: `Tea &amp; \* &lt;\*`, Text: c.text + "\n"}, message.Mail{Subject: m.Subject, Text: m.Text}); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.body, diff)
		}
	}
	m, err := message.Render(message.Text{Language: "en", Subject: "x", Body: `[Look](https://shop.example/?a=1&amp;b=2)`}, "Harbor", nil)
	if err != nil || !strings.Contains(m.HTML, `href="https://shop.example/?a=1&amp;b=2"`) {
		t.Errorf("got %v\n%s", err, m.HTML)
	}
}

// What a text may not have cannot be spelled by its number either.
func TestSpelledCharacters(t *testing.T) {
	for _, body := range []string{"&#8238;evil", "a &#x1b; b", "{{items}} &#xE003;", "&rlm;&#x202E;", "[x](https://shop.example/&#x202e;)", "[x](&#xE003;)", "[]({{portal_link}})", "[&#x202e;]({{portal_link}})"} {
		if err := (message.Text{Language: "en", Subject: "x", Body: body}).Check(message.Paused); err == nil {
			t.Errorf("%s: accepted", body)
		}
	}
}
