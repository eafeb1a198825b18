package message

import (
	"cmp"
	"errors"
	"fmt"
	"html"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/text"
	"github.com/yuin/goldmark/util"

	"perennial/internal/fault"
	"perennial/internal/plain"
)

// Limits of a text, in characters.
const (
	maxSubject = 200
	maxBody    = 5000
	maxDepth   = 20 // of lists and quotations inside each other
)

// markdown reads CommonMark without extensions. Its tree is written out here, so that only what is known gets into a mail.
var markdown = goldmark.DefaultParser()

// check adds what is wrong with a text; at is its JSON pointer.
func (t Text) check(f *fault.Fields, k Kind, at string) {
	if !slices.Contains(Languages, t.Language) {
		f.Add(at+"/language", "not_one_of", "There are texts in {values}.", "values", Languages)
	}
	_, subject, body := parse(t, k.Variables)
	if subject != nil {
		f.Refuse(at+"/subject", subject)
	}
	if body != nil {
		f.Refuse(at+"/body", body)
	}
}

// Check refuses a text that the message cannot have.
func (t Text) Check(n Name) error {
	k, ok := Of(n)
	if !ok {
		return unknown(n)
	}
	var f fault.Fields
	t.check(&f, k, "")
	return f.Err()
}

// parsed is a text that can be written with values. Each variable is one character in it that no text may have, so that no rule of
// Markdown takes it apart, and no value is ever read as a part of the text.
type parsed struct {
	variables []string
	subject   string
	source    []byte
	doc       ast.Node
}

const (
	firstMark = '\uE000'
	lastMark  = '\uF8FF'
)

func isMark(r rune) bool { return firstMark <= r && r <= lastMark }

// parse reads a text, or says what is wrong with its subject and its body.
func parse(t Text, variables []string) (p *parsed, subject, body *fault.Reason) {
	p = &parsed{variables: variables}
	var source string
	if subject = plain.Text(t.Subject, maxSubject); subject == nil {
		p.subject, subject = p.mark(t.Subject)
	}
	if body = plain.MultiLine(t.Body, maxBody); body == nil {
		source, body = p.mark(t.Body)
	}
	if strings.TrimSpace(t.Subject) == "" {
		subject = fault.Because("required", "This is needed.")
	}
	if strings.TrimSpace(t.Body) == "" {
		body = fault.Because("required", "This is needed.")
	}
	if body != nil {
		return p, subject, body
	}
	p.source = []byte(source)
	p.doc = markdown.Parse(text.NewReader(p.source))
	return p, subject, p.refuse(p.doc, 0)
}

// mark puts a character in the place of each variable, or says why it cannot.
func (p *parsed) mark(s string) (marked string, why *fault.Reason) {
	if strings.ContainsFunc(s, isMark) {
		return "", fault.Because("meaningless_character", "The text has a character that means nothing.")
	}
	var b strings.Builder
	for {
		before, rest, open := strings.Cut(s, "{{")
		if strings.Contains(before, "}}") {
			return "", fault.Because("variable_invalid", "A variable is written {{name}}, in small letters.")
		}
		b.WriteString(before)
		if !open {
			return b.String(), nil
		}
		name, after, closed := strings.Cut(rest, "}}")
		name = strings.Trim(name, " ")
		if !closed || name == "" || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz_") != "" {
			return "", fault.Because("variable_invalid", "A variable is written {{name}}, in small letters.")
		}
		i := slices.Index(p.variables, name)
		if i < 0 {
			return "", fault.Because("unknown_variable", "There is no {{{variable}}} in this message. It has: {values}.",
				"variable", fmt.Sprintf("%.40s", name), "values", written(p.variables))
		}
		b.WriteRune(firstMark + rune(i))
		s = after
	}
}

// written are variables as a text writes them.
func written(variables []string) []string {
	out := make([]string, len(variables))
	for i, v := range variables {
		out[i] = "{{" + v + "}}"
	}
	return out
}

// variable gives the variable whose mark is all of a text.
func (p *parsed) variable(s string) (name string, ok bool) {
	r, n := utf8.DecodeRuneInString(s)
	if n == 0 || n < len(s) || !isMark(r) || int(r-firstMark) >= len(p.variables) {
		return "", false
	}
	return p.variables[r-firstMark], true
}

// refuse says why a part of a text cannot be sent.
func (p *parsed) refuse(n ast.Node, depth int) *fault.Reason {
	if depth > maxDepth {
		return fault.Because("too_deep", "Lists and quotations are too deep inside each other.")
	}
	switch n := n.(type) {
	case *ast.HTMLBlock, *ast.RawHTML:
		return fault.Because("no_html", "HTML is not taken here: write Markdown.")
	case *ast.Image:
		return fault.Because("no_pictures", "Pictures are not taken here.")
	case *ast.CodeBlock, *ast.FencedCodeBlock:
		return fault.Because("no_code_blocks", "Blocks of code are not taken here: a line of text begins with fewer than four blanks.")
	case *ast.Link:
		if why := p.leads(string(n.Destination)); why != nil {
			return why
		}
		if n.ChildCount() == 0 {
			return fault.Because("link_without_words", "A link has words: [words]({{portal_link}}).")
		}
	case *ast.Text:
		if why := p.spelled(n); why != nil {
			return why
		}
	case *ast.AutoLink:
		if why := p.leads(string(n.URL(p.source))); n.AutoLinkType == ast.AutoLinkURL && why != nil {
			return why
		}
	case *ast.Document,
		*ast.Paragraph,
		*ast.TextBlock,
		*ast.Heading,
		*ast.List,
		*ast.ListItem,
		*ast.Blockquote,
		*ast.ThematicBreak,
		*ast.Emphasis,
		*ast.CodeSpan,
		*ast.String:
	default:
		return fault.Because("markdown_refused", "This part of Markdown is not taken here.")
	}
	for c := n.FirstChild(); c != nil; c = c.NextSibling() {
		if why := p.refuse(c, depth+1); why != nil {
			return why
		}
	}
	return nil
}

// spelled says why a text may not have what it spells by numbers or names, such as "&#8238;": what it may not have as it is.
func (p *parsed) spelled(n *ast.Text) *fault.Reason {
	if n.IsRaw() {
		return nil
	}
	typed := strings.Map(func(r rune) rune {
		if isMark(r) {
			return ' '
		}
		return r
	}, string(n.Value(p.source)))
	s := decode(typed)
	if strings.ContainsFunc(s, isMark) {
		return fault.Because("meaningless_character", "The text has a character that means nothing.")
	}
	return plain.MultiLine(s, maxBody)
}

// leads says why a link may not lead somewhere: it leads to one variable that is an address, or to an address without variables.
func (p *parsed) leads(to string) *fault.Reason {
	name, ok := p.variable(to)
	if ok && slices.Contains(links, name) {
		return nil
	}
	if to = decode(to); ok || strings.ContainsFunc(to, isMark) || plain.URL(to) != nil {
		return fault.Because("link_refused",
			"A link leads to one variable that is an address, such as {{portal_link}}, or to an address that begins with https://.")
	}
	return nil
}

// Mail is a message as it is sent.
type Mail struct{ Subject, Text, HTML string }

// Render fills a text of a message with values. A variable without a value is empty and takes the blank before it along; a paragraph or an
// entry of a list with a link that leads nowhere is left out. The text must have been checked.
func Render(t Text, shop string, values map[string]string) (Mail, error) {
	p, subject, body := parse(t, all())
	if why := cmp.Or(subject, body); why != nil {
		return Mail{}, errors.New("message: this text cannot be sent: " + why.Detail)
	}
	w := &writer{parsed: p, values: values, french: t.Language == "fr"}
	w.blocks(p.doc)
	m := Mail{Subject: oneLine(w.fill(p.subject, asText, asText)), Text: strings.TrimSpace(w.plain.String()) + "\n"}
	m.HTML = fmt.Sprintf(frame, html.EscapeString(t.Language), asHTML(m.Subject), asHTML(shop), w.html.String())
	return m, nil
}

// oneLine takes out line breaks and needless blanks, and leaves those that hold two words together.
func oneLine(s string) string {
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return unicode.IsSpace(r) && r != '\u00a0' }), " ")
}

// all are the variables of every message.
var all = sync.OnceValue(func() (names []string) {
	for _, k := range Kinds {
		names = append(names, k.Variables...)
	}
	slices.Sort(names)
	return slices.Compact(names)
})

// writer writes both parts of a mail, block by block.
type writer struct {
	*parsed
	values map[string]string
	french bool // which has a blank before a colon
	html   strings.Builder
	plain  strings.Builder
}

func asText(s string) string { return s }

func asHTML(s string) string { return strings.ReplaceAll(html.EscapeString(s), "\n", "<br>") }

// decode reads what Markdown says of single characters: "\*" is "*" and "&amp;" is "&". What comes of that is not read again.
func decode(s string) string {
	var b strings.Builder
	for s != "" {
		i := strings.IndexAny(s, `\&`)
		if i < 0 || i+1 == len(s) {
			break
		}
		b.WriteString(s[:i])
		end := strings.IndexByte(s[i:], ';')
		switch {
		case s[i] == '\\' && util.IsPunct(s[i+1]):
			b.WriteByte(s[i+1])
			s = s[i+2:]
		case s[i] == '&' && end > 0 && !strings.ContainsAny(s[i+1:i+end], `\&`):
			entity := []byte(s[i : i+end+1])
			known := util.ResolveEntityNames(entity)
			if slices.Equal(known, entity) {
				known = util.ResolveNumericReferences(entity)
			}
			b.Write(known)
			s = s[i+end+1:]
		default:
			b.WriteByte(s[i])
			s = s[i+1:]
		}
	}
	return b.String() + s
}

// fill puts values in the places of their marks, and reads what is between them.
func (w *writer) fill(s string, read, written func(string) string) string {
	var b strings.Builder
	for s != "" {
		i := strings.IndexFunc(s, isMark)
		if i < 0 {
			i = len(s)
		}
		before, value := s[:i], ""
		if s = s[i:]; s != "" {
			_, size := utf8.DecodeRuneInString(s)
			name, _ := w.variable(s[:size])
			s, value = s[size:], w.values[name]
			if value == "" {
				before = strings.TrimSuffix(before, " ")
				if strings.HasPrefix(s, ":") || strings.HasPrefix(s, ",") { // "Hola, {{customer_first_name}}:"
					before = strings.TrimSuffix(before, ",")
				}
			}
		}
		b.WriteString(written(read(before)))
		b.WriteString(written(value))
	}
	return b.String()
}

// nowhere says whether a block has a link without an address.
func (w *writer) nowhere(block ast.Node) (found bool) {
	_ = ast.Walk(block, func(n ast.Node, _ bool) (ast.WalkStatus, error) {
		if l, ok := n.(*ast.Link); ok && w.target(l) == "" {
			found = true
		}
		return ast.WalkContinue, nil
	})
	return found
}

// blocks writes the blocks inside a node.
func (w *writer) blocks(parent ast.Node) {
	for n := parent.FirstChild(); n != nil; n = n.NextSibling() {
		switch n := n.(type) {
		case *ast.Paragraph, *ast.TextBlock, *ast.Heading:
			if l, ok := n.NextSibling().(*ast.List); !w.nowhere(n) && (!ok || !w.empty(l)) { // what leads to a list goes with it
				w.paragraph(n)
			}
		case *ast.List:
			if !w.empty(n) {
				w.list(n)
			}
		case *ast.Blockquote:
			inside := w.inside(n)
			w.html.WriteString(`<div style="margin:0 0 14px;padding-left:12px;border-left:3px solid #9ca3af">` + inside.html.String() + "</div>\n")
			w.plain.WriteString(inside.lines("> ", "> ") + "\n")
		case *ast.ThematicBreak:
			w.html.WriteString(`<hr style="border:0;border-top:1px solid #d1d5db;margin:20px 0">` + "\n")
			w.plain.WriteString("---\n\n")
		}
	}
}

// inside writes the blocks inside a node for themselves.
func (w *writer) inside(n ast.Node) *writer {
	in := &writer{parsed: w.parsed, values: w.values, french: w.french}
	in.blocks(n)
	return in
}

// lines gives the text part with something before its first line, and before each other one.
func (w *writer) lines(first, other string) string {
	return first + strings.ReplaceAll(strings.TrimRight(w.plain.String(), "\n"), "\n", "\n"+other) + "\n"
}

func (w *writer) paragraph(n ast.Node) {
	rich, simple := w.inlines(n)
	w.plain.WriteString(simple + "\n")
	switch n := n.(type) {
	case *ast.TextBlock: // an entry of a list whose entries stand close
		w.html.WriteString(rich)
		return
	case *ast.Heading:
		rich = fmt.Sprintf(`<h%d style="margin:0 0 14px;font-size:%dpx">%s</h%d>`, n.Level, max(15, 23-3*n.Level), rich, n.Level)
	default:
		if l, ok := n.FirstChild().(*ast.Link); ok && n.ChildCount() == 1 { // a paragraph that is one link is a button
			rich, _ = w.inlines(l)
			rich = `<a href="` + html.EscapeString(
				w.target(l)) + `" class="button" style="display:inline-block;padding:11px 20px;border-radius:8px;background:#1f4fd8;color:#ffffff;text-decoration:none;font-weight:600">` + rich + "</a>"
		}
		rich = `<p style="margin:0 0 14px">` + rich + "</p>"
	}
	w.html.WriteString(rich + "\n")
	w.plain.WriteString("\n")
}

// empty says whether no entry of a list is left.
func (w *writer) empty(l *ast.List) bool {
	for n := l.FirstChild(); n != nil; n = n.NextSibling() {
		if w.inside(n).html.Len() > 0 {
			return false
		}
	}
	return true
}

func (w *writer) list(l *ast.List) {
	tag, number := "ul", l.Start
	if l.IsOrdered() {
		tag = "ol"
	}
	w.html.WriteString("<" + tag + ` style="margin:0 0 14px;padding-left:20px">`)
	for n := l.FirstChild(); n != nil; n = n.NextSibling() {
		item, sign := w.inside(n), "- "
		if item.html.Len() == 0 {
			continue
		}
		if l.IsOrdered() {
			sign = strconv.Itoa(number) + ". "
			number++
		}
		w.html.WriteString("<li>" + item.html.String() + "</li>")
		w.plain.WriteString(item.lines(sign, strings.Repeat(" ", len(sign))))
	}
	w.html.WriteString("</" + tag + ">\n")
	w.plain.WriteString("\n")
}

// inlines gives what is inside a block in both forms.
func (w *writer) inlines(parent ast.Node) (rich, simple string) {
	var h, t strings.Builder
	put := func(r, s string) { h.WriteString(r); t.WriteString(s) }
	for n := parent.FirstChild(); n != nil; n = n.NextSibling() {
		switch n := n.(type) {
		case *ast.Text:
			raw, read := string(n.Value(w.source)), decode
			if n.IsRaw() { // code
				read = asText
			}
			put(w.fill(raw, read, asHTML), w.fill(raw, read, asText))
			if n.SoftLineBreak() || n.HardLineBreak() {
				put("<br>", "\n")
			}
		case *ast.String:
			put(asHTML(string(n.Value)), string(n.Value))
		case *ast.Emphasis:
			r, s := w.inlines(n)
			tag := "em"
			if n.Level == 2 {
				tag = "strong"
			}
			put("<"+tag+">"+r+"</"+tag+">", s)
		case *ast.CodeSpan:
			r, s := w.inlines(n)
			put("<code>"+r+"</code>", s)
		case *ast.AutoLink:
			to := string(n.URL(w.source))
			if n.AutoLinkType == ast.AutoLinkEmail {
				to = "mailto:" + strings.TrimPrefix(to, "mailto:")
			}
			put(anchor(to, asHTML(string(n.Label(w.source)))), string(n.Label(w.source)))
		case *ast.Link:
			to := w.target(n)
			r, s := w.inlines(n)
			switch alone := parent.ChildCount() == 1; {
			case s == to:
			case alone && w.french:
				s += "\u00a0: " + to
			case alone:
				s += ": " + to
			default: // what follows is no part of the address
				s += " <" + to + ">"
			}
			put(anchor(to, r), s)
		}
	}
	return h.String(), t.String()
}

func anchor(to, words string) string {
	return `<a style="color:#1f4fd8" href="` + html.EscapeString(to) + `">` + words + "</a>"
}

// target is where a link leads; empty for a variable without a value.
func (w *writer) target(l *ast.Link) string {
	if name, ok := w.variable(string(l.Destination)); ok {
		return w.values[name]
	}
	return decode(string(l.Destination))
}

// frame is around every message: quiet, one column, readable where styles are not. Colours are at their elements, which every reader of
// mail knows; those that know a style sheet too have the dark ones.
const frame = `<!doctype html>
<html lang="%s"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><meta name="color-scheme" content="light dark"><title>%s</title>
<style>@media (prefers-color-scheme:dark){.page{background:#0b0f17!important}.name{color:#9ca3af!important}.words{background:#1a202c!important;color:#e5e7eb!important}.words a{color:#9dbbff!important}.words a.button{color:#ffffff!important}}</style></head>
<body class="page" style="margin:0;padding:0;background:#f3f4f6">
<table class="page" role="presentation" width="100%%" cellpadding="0" cellspacing="0" style="background:#f3f4f6"><tr><td align="center" style="padding:28px 12px">
<table role="presentation" width="100%%" cellpadding="0" cellspacing="0" style="max-width:560px">
<tr><td class="name" style="padding:0 4px 12px;font:600 15px -apple-system,'Segoe UI',Roboto,Helvetica,Arial,sans-serif;color:#4b5563">%s</td></tr>
<tr><td class="words" style="background:#ffffff;border-radius:12px;padding:28px 28px 14px;font:15px/1.55 -apple-system,'Segoe UI',Roboto,Helvetica,Arial,sans-serif;color:#111827">
%s</td></tr></table></td></tr></table></body></html>
`
