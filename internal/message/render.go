package message

import (
	"bytes"
	"fmt"
	"html"
	"regexp"
	"slices"
	"strings"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/text"

	"perennial/internal/fault"
	"perennial/internal/plain"
)

// Limits of a text, in characters.
const (
	maxSubject = 200
	maxBody    = 5000
)

var (
	variable = regexp.MustCompile(`\{\{ ?([a-z_]+) ?\}\}`)
	markdown = goldmark.New()
)

// check adds what is wrong with a text; at is its JSON pointer.
func (t Text) check(f *fault.Fields, k Kind, at string) {
	if !slices.Contains(Languages, t.Language) {
		f.Add(at+"/language", "There are texts in %s.", strings.Join(Languages, ", "))
	}
	for _, part := range []struct{ at, text, why string }{{at + "/subject", t.Subject, plain.Text(t.Subject, maxSubject)}, {at + "/body", t.Body, plain.MultiLine(t.Body, maxBody)}} {
		if strings.TrimSpace(part.text) == "" {
			f.Add(part.at, "This is needed.")
			continue
		}
		if part.why != "" {
			f.Add(part.at, "%s", part.why)
			continue
		}
		for _, v := range variable.FindAllStringSubmatch(part.text, -1) {
			if !slices.Contains(k.Variables, v[1]) {
				f.Add(part.at, "There is no {{%s}} in this message. It has: {{%s}}.", v[1], strings.Join(k.Variables, "}}, {{"))
			}
		}
		if rest := variable.ReplaceAllString(part.text, ""); strings.Contains(rest, "{{") || strings.Contains(rest, "}}") {
			f.Add(part.at, "A variable is written {{name}}, in small letters.")
		}
	}
	m := marked(t.Body)
	if err := ast.Walk(markdown.Parser().Parse(text.NewReader([]byte(m.text))), func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering {
			return ast.WalkContinue, nil
		}
		switch n := n.(type) {
		case *ast.RawHTML, *ast.HTMLBlock:
			f.Add(at+"/body", "HTML is not taken here: write Markdown.")
			return ast.WalkStop, nil
		case *ast.Image:
			f.Add(at+"/body", "Pictures are not taken here.")
			return ast.WalkStop, nil
		case *ast.Link:
			m.address(f, at, string(n.Destination))
		case *ast.AutoLink:
			m.address(f, at, string(n.URL([]byte(m.text))))
		}
		return ast.WalkContinue, nil
	}); err != nil {
		f.Add(at+"/body", "This cannot be read as Markdown.")
	}
}

// with marks is a text whose variables are words that nothing in Markdown or HTML changes.
type withMarks struct {
	text  string
	mark  string
	names []string
}

func marked(body string) withMarks {
	m := withMarks{mark: "qvq"}
	for strings.Contains(body, m.mark) {
		m.mark += "q"
	}
	m.text = variable.ReplaceAllStringFunc(body, func(v string) string {
		m.names = append(m.names, variable.FindStringSubmatch(v)[1])
		return fmt.Sprintf("%s%dz", m.mark, len(m.names)-1)
	})
	return m
}

// fill puts values in the place of the marks.
func (m withMarks) fill(s string, value func(name string) string) string {
	for i := len(m.names) - 1; i >= 0; i-- {
		s = strings.ReplaceAll(s, fmt.Sprintf("%s%dz", m.mark, i), value(m.names[i]))
	}
	return s
}

// address holds where a link leads against the rules: one variable that is an address, or an https address without variables.
func (m withMarks) address(f *fault.Fields, at, to string) {
	for i, name := range m.names {
		if to == fmt.Sprintf("%s%dz", m.mark, i) && slices.Contains(links, name) {
			return
		}
	}
	if strings.Contains(to, m.mark) || plain.URL(to) != "" {
		f.Add(at+"/body", "A link leads to one variable that is an address, such as {{portal_link}}, or to an address that begins with https://.")
	}
}

// Mail is a message as it is sent.
type Mail struct{ Subject, Text, HTML string }

// Render fills a text with values. A variable without a value is empty. The text must have been checked.
func Render(t Text, shop string, values map[string]string) (Mail, error) {
	plainly := func(name string) string { return values[name] }
	line := func(name string) string { return strings.Join(strings.Fields(values[name]), " ") }
	subject := marked(t.Subject)
	body := marked(t.Body)
	var page bytes.Buffer
	if err := markdown.Convert([]byte(body.text), &page); err != nil {
		return Mail{}, fmt.Errorf("message: %w", err)
	}
	inside := body.fill(button.ReplaceAllString(styled(page.String()), buttonHTML), func(name string) string { return html.EscapeString(values[name]) })
	return Mail{
		Subject: subject.fill(subject.text, line),
		Text:    strings.TrimSpace(body.fill(asText(body.text), plainly)) + "\n",
		HTML:    fmt.Sprintf(frame, html.EscapeString(subject.fill(subject.text, line)), html.EscapeString(shop), inside),
	}, nil
}

var (
	mdLink   = regexp.MustCompile(`\[([^\]]*)\]\(([^)]*)\)`)
	mdStrong = regexp.MustCompile(`\*\*([^*]+)\*\*|__([^_]+)__`)
	mdHead   = regexp.MustCompile(`(?m)^#{1,6} `)
	// A paragraph that is one link is a button.
	button = regexp.MustCompile(`<p style="[^"]*"><a style="[^"]*" href="([^"]*)">([^<]*)</a></p>`)
)

const buttonHTML = `<p style="margin:24px 0"><a href="$1" style="display:inline-block;padding:11px 20px;border-radius:8px;background:#1f4fd8;color:#ffffff;text-decoration:none;font-weight:600">$2</a></p>`

// asText is Markdown as people read it without marks.
func asText(md string) string {
	md = mdLink.ReplaceAllString(md, "$1: $2")
	md = mdStrong.ReplaceAllString(md, "$1$2")
	return mdHead.ReplaceAllString(md, "")
}

// styled gives the elements the styles that mail programs read.
func styled(page string) string {
	return strings.NewReplacer("<p>", `<p style="margin:0 0 14px">`, "<a href=", `<a style="color:#1f4fd8" href=`, "<ul>", `<ul style="margin:0 0 14px;padding-left:20px">`,
		"<h1>", `<h1 style="margin:0 0 14px;font-size:20px">`, "<h2>", `<h2 style="margin:0 0 14px;font-size:17px">`).Replace(page)
}

// frame is around every message: quiet, one column, readable where styles are not, light and dark.
const frame = `<!doctype html>
<html><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><meta name="color-scheme" content="light dark"><title>%s</title></head>
<body style="margin:0;padding:0;background:#f3f4f6">
<table role="presentation" width="100%%" cellpadding="0" cellspacing="0"><tr><td align="center" style="padding:28px 12px">
<table role="presentation" width="100%%" cellpadding="0" cellspacing="0" style="max-width:560px">
<tr><td style="padding:0 4px 12px;font:600 15px -apple-system,'Segoe UI',Roboto,Helvetica,Arial,sans-serif;color:#4b5563">%s</td></tr>
<tr><td style="background:#ffffff;border-radius:12px;padding:28px;font:15px/1.55 -apple-system,'Segoe UI',Roboto,Helvetica,Arial,sans-serif;color:#111827">
%s</td></tr></table></td></tr></table></body></html>
`
