// Package htmlcheck holds a page against what every page of ours keeps: it is well-formed HTML whose tags a browser leaves where they
// are, with names for whatever can be reached, and without anything that the Content-Security-Policy blocks.
//
// The text is read twice. The tags as they are written make one tree, and golang.org/x/net/html, which mends like a browser, makes
// another; where they differ, the nesting was wrong (HTML Standard, 13.2). The rules then walk the tree.
package htmlcheck

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/net/html"
)

// Form is a form, or a button of one that sends it elsewhere.
type Form struct {
	Method string     // "get" or "post"
	Action string     // empty: the page itself
	Values url.Values // what it says as it stands
}

// Numbered says whether a form has a number of its own.
func (f Form) Numbered() bool { return len(f.Values.Get("form_number")) >= 20 }

// Page is what was found.
type Page struct {
	Problems []string
	Title    string
	Links    []string // addresses that links lead to, as they are written
	Forms    []Form
}

// Check reads a whole page.
func Check(text string) *Page {
	c := &checker{page: &Page{}, ids: map[string]*html.Node{}}
	text = strings.NewReplacer("<noscript>", "<no-script>", "</noscript>", "</no-script>").Replace(text) // the tokenizer takes what is in it for text
	doc, err := html.Parse(strings.NewReader(text))
	if err != nil {
		c.wrong("it cannot be parsed: %v", err)
		return c.page
	}
	if !strings.HasPrefix(strings.ToLower(text), "<!doctype html>") {
		c.wrong("it does not begin with <!DOCTYPE html>")
	}
	c.nesting(text, doc)
	for n := range doc.Descendants() {
		if n.Type == html.ElementNode {
			c.all = append(c.all, n)
			if id, ok := attr(n, "id"); ok {
				if id == "" || strings.ContainsAny(id, " \t\n") || c.ids[id] != nil {
					c.wrong("the id %q is empty, has a blank, or is there twice", id)
				}
				c.ids[id] = n
			}
		}
	}
	c.outline()
	for _, n := range c.all {
		c.element(n)
		c.named(n)
		c.refers(n)
	}
	return c.page
}

type checker struct {
	page *Page
	all  []*html.Node // elements, in the order of the text
	ids  map[string]*html.Node
}

func (c *checker) wrong(format string, args ...any) {
	c.page.Problems = append(c.page.Problems, fmt.Sprintf(format, args...))
}

var void = set("area base br col embed hr img input link meta source track wbr")

// nesting compares the tags as they are written with those of the tree that a browser makes of them.
func (c *checker) nesting(text string, doc *html.Node) {
	var written []string
	var open []string
	z := html.NewTokenizer(strings.NewReader(text))
	for z.Next() != html.ErrorToken {
		switch t := z.Token(); t.Type {
		case html.StartTagToken, html.SelfClosingTagToken:
			written = append(written, t.Data)
			switch {
			case void[t.Data]:
			case t.Type == html.StartTagToken:
				open = append(open, t.Data)
			default:
				written = append(written, "/"+t.Data)
			}
		case html.EndTagToken:
			if len(open) == 0 || open[len(open)-1] != t.Data {
				c.wrong("</%s> does not close %v", t.Data, open)
				return
			}
			open = open[:len(open)-1]
			written = append(written, "/"+t.Data)
		}
	}
	if len(open) > 0 {
		c.wrong("%v is not closed", open)
	}
	var made []string
	var walk func(n *html.Node)
	walk = func(n *html.Node) {
		if n.Type == html.ElementNode {
			made = append(made, n.Data)
		}
		for k := range n.ChildNodes() {
			walk(k)
		}
		if n.Type == html.ElementNode && !void[n.Data] {
			made = append(made, "/"+n.Data)
		}
	}
	walk(doc)
	for i := range min(len(written), len(made)) {
		if written[i] != made[i] {
			c.wrong("after %v a browser reads <%s> where <%s> is written", written[max(0, i-6):i], made[i], written[i])
			return
		}
	}
}

// outline holds what a page has once, and its headings.
func (c *checker) outline() {
	count := map[string]int{}
	last := 0
	for _, n := range c.all {
		count[n.Data]++
		if level := strings.Index("123456", strings.TrimPrefix(n.Data, "h")) + 1; len(n.Data) == 2 && n.Data[0] == 'h' && level > 0 && within(n, "main") {
			if level > last+1 {
				c.wrong("the heading %q of level %d comes after one of level %d", words(n), level, last)
			}
			last = level
			if words(n) == "" {
				c.wrong("a heading is empty")
			}
		}
		switch n.Data {
		case "html":
			if lang, _ := attr(n, "lang"); lang == "" {
				c.wrong("<html> has no lang")
			}
		case "title":
			if n.Parent.Data == "head" {
				c.page.Title = words(n)
			}
		}
	}
	for _, name := range []string{"html", "head", "body", "main", "h1"} {
		if count[name] != 1 {
			c.wrong("<%s> is there %d times", name, count[name])
		}
	}
	if c.page.Title == "" {
		c.wrong("it has no title")
	}
}

var (
	known = set(`html head meta title link script body a abbr article aside b br button caption circle cite code col colgroup datalist dd defs del desc details dialog div dl dt em fieldset figcaption
		figure footer form g h1 h2 h3 h4 h5 h6 header hr i img input ins kbd label legend li line main mark meter nav ol optgroup option output p path picture polygon polyline pre progress q rect s samp
		section select small source span strong sub summary sup svg symbol table tbody td template text textarea tfoot th thead time title tr tspan u ul use var wbr`)
	// What is not phrasing content, and what may hold nothing else (HTML Standard, 3.2.5.2).
	flow     = set("article aside details dialog div dl fieldset figure footer form h1 h2 h3 h4 h5 h6 header hr main nav ol p pre section table ul")
	phrasing = set("abbr b cite code em h1 h2 h3 h4 h5 h6 i kbd label legend mark meter p pre progress q s samp small span strong sub summary sup time u var button")
	// What one can use may not be inside of what one can use.
	interactive = set("a button details input label select textarea summary")
	children    = map[string]map[string]bool{"ul": set("li template"), "ol": set("li template"), "dl": set("dt dd div template"), "tr": set("th td"), "select": set("option optgroup"),
		"thead": set("tr"), "tbody": set("tr"), "table": set("caption colgroup thead tbody tfoot")}
)

// element holds one element against what may be where, and against the policy.
func (c *checker) element(n *html.Node) {
	if !known[n.Data] && !strings.Contains(n.Data, "-") {
		c.wrong("<%s> is no element that we use", n.Data)
	}
	for _, a := range n.Attr {
		switch {
		case strings.HasPrefix(a.Key, "on"):
			c.wrong("<%s> has %s", n.Data, a.Key)
		case a.Key == "style":
			c.wrong("<%s> has a style of its own", n.Data)
		case (a.Key == "href" || a.Key == "src" || a.Key == "action") && strings.HasPrefix(strings.ToLower(strings.TrimSpace(a.Val)), "javascript:"):
			c.wrong("<%s> leads to a script", n.Data)
		}
	}
	if may := children[n.Data]; may != nil {
		for k := range n.ChildNodes() {
			if k.Type == html.ElementNode && !may[k.Data] || k.Type == html.TextNode && strings.TrimSpace(k.Data) != "" {
				c.wrong("<%s> holds %q", n.Data, k.Data)
			}
		}
	}
	for up := n.Parent; up != nil && up.Type == html.ElementNode; up = up.Parent {
		switch {
		case flow[n.Data] && phrasing[up.Data] && (up.Data != "summary" || n.Data[0] != 'h'):
			c.wrong("<%s> is inside of <%s> (%q)", n.Data, up.Data, words(up))
		case interactive[n.Data] && (up.Data == "a" || up.Data == "button") && attrOf(n, "type") != "hidden":
			c.wrong("<%s> is inside of <%s> (%q)", n.Data, up.Data, words(up))
		case n.Data == "form" && up.Data == "form", n.Data == "label" && up.Data == "label":
			c.wrong("<%s> is inside of another", n.Data)
		}
	}
	switch n.Data {
	case "script":
		if attrOf(n, "src") == "" || n.FirstChild != nil {
			c.wrong("a script is inline")
		}
	case "li":
		if n.Parent.Data != "ul" && n.Parent.Data != "ol" {
			c.wrong("<li> is inside of <%s>", n.Parent.Data)
		}
	case "details":
		if first := firstElement(n); first == nil || first.Data != "summary" {
			c.wrong("<details> does not begin with its <summary>")
		}
	case "fieldset":
		if first := firstElement(n); first == nil || first.Data != "legend" {
			c.wrong("<fieldset> does not begin with its <legend>")
		}
	case "th":
		if attrOf(n, "scope") == "" {
			c.wrong("<th> %q has no scope", words(n))
		}
	case "form":
		if m := attrOf(n, "method"); m != "" && m != "get" && m != "post" {
			c.wrong("a form goes by %q", m)
		}
		c.form(n)
	case "a":
		if href, ok := attr(n, "href"); !ok || href == "" {
			c.wrong("the link %q leads nowhere", words(n))
		} else if _, err := url.Parse(href); err != nil {
			c.wrong("the link %q: %v", words(n), err)
		} else {
			c.page.Links = append(c.page.Links, href)
		}
	}
}

// form reads what a form says. One that is sent has a number of its own, so that it is known when it comes twice.
func (c *checker) form(n *html.Node) {
	f := Form{strings.ToLower(attrOf(n, "method")), attrOf(n, "action"), url.Values{}}
	var elsewhere []string
	for k := range n.Descendants() {
		name, value := attrOf(k, "name"), attrOf(k, "value")
		_, checked := attr(k, "checked")
		_, disabled := attr(k, "disabled")
		switch kind := attrOf(k, "type"); {
		case k.Type != html.ElementNode || disabled:
		case k.Data == "button":
			if at, ok := attr(k, "formaction"); ok {
				elsewhere = append(elsewhere, at)
			}
		case name == "":
		case k.Data == "textarea":
			f.Values.Add(name, text(k))
		case k.Data == "select":
			f.Values.Add(name, chosen(k))
		case k.Data == "input" && (kind == "checkbox" || kind == "radio"):
			if checked {
				f.Values.Add(name, cmp.Or(value, "on"))
			}
		case k.Data == "input" && kind != "submit":
			f.Values.Add(name, value)
		}
	}
	if f.Method == "post" && !f.Numbered() {
		c.wrong("a form that goes to %q has no number of its own", f.Action)
	}
	c.page.Forms = append(c.page.Forms, f)
	for _, at := range elsewhere {
		c.page.Forms = append(c.page.Forms, Form{f.Method, at, f.Values})
	}
}

// chosen is the value of a select: of the option that is selected, else of the first.
func chosen(n *html.Node) (value string) {
	first := true
	for k := range n.Descendants() {
		if k.Data != "option" {
			continue
		}
		if _, selected := attr(k, "selected"); selected || first {
			value, first = attrOf(k, "value"), false
		}
	}
	return value
}

func text(n *html.Node) (out string) {
	for k := range n.Descendants() {
		if k.Type == html.TextNode {
			out += k.Data
		}
	}
	return out
}

// named wants a name for whatever one can reach or see.
func (c *checker) named(n *html.Node) {
	label := strings.TrimSpace(attrOf(n, "aria-label") + attrOf(n, "aria-labelledby"))
	switch n.Data {
	case "img":
		if _, ok := attr(n, "alt"); !ok {
			c.wrong("the picture %s has no alt", attrOf(n, "src"))
		}
	case "a", "button", "summary":
		if label == "" && words(n) == "" {
			c.wrong("<%s %s> has no name", n.Data, attrOf(n, "href"))
		}
	case "label":
		if words(n) == "" {
			c.wrong("a label is empty")
		}
		if key, ok := attr(n, "for"); ok && (c.ids[key] == nil || !set("input select textarea button meter output progress")[c.ids[key].Data]) {
			c.wrong("the label %q is for %q, which is no field", words(n), key)
		}
	case "input", "select", "textarea":
		if attrOf(n, "type") == "hidden" || label != "" || within(n, "label") {
			return
		}
		key := attrOf(n, "id")
		if !slices.ContainsFunc(c.all, func(l *html.Node) bool { return l.Data == "label" && key != "" && attrOf(l, "for") == key }) {
			c.wrong("the field %q has no label", attrOf(n, "name"))
		}
	case "nav", "table":
		if label == "" && (n.Data == "nav" || !slices.ContainsFunc(slices.Collect(n.ChildNodes()), func(k *html.Node) bool { return k.Data == "caption" }) && !labelled(n)) {
			c.wrong("a <%s> has no name", n.Data)
		}
	case "svg":
		if attrOf(n, "aria-hidden") != "true" && label == "" && attrOf(n, "role") != "presentation" && !slices.ContainsFunc(slices.Collect(n.Descendants()), func(k *html.Node) bool { return k.Data == "title" }) {
			c.wrong("an <svg> is neither hidden nor named")
		}
	}
}

// labelled says whether the part around an element has a name that speaks for it.
func labelled(n *html.Node) bool {
	for up := n.Parent; up != nil; up = up.Parent {
		if attrOf(up, "aria-label") != "" {
			return true
		}
	}
	return false
}

// refers wants every id that an element names to be there.
func (c *checker) refers(n *html.Node) {
	for _, a := range n.Attr {
		switch a.Key {
		case "aria-describedby", "aria-labelledby", "aria-controls", "popovertarget", "list", "form", "headers":
			for key := range strings.FieldsSeq(a.Val) {
				if c.ids[key] == nil {
					c.wrong("<%s> names %s=%q, which is not there", n.Data, a.Key, key)
				}
			}
		case "href":
			if key, ok := strings.CutPrefix(a.Val, "#"); ok && n.Data == "a" && c.ids[key] == nil {
				c.wrong("a link leads to %q, which is not there", a.Val)
			}
		}
	}
}

func set(names string) map[string]bool {
	out := map[string]bool{}
	for name := range strings.FieldsSeq(names) {
		out[name] = true
	}
	return out
}

func attr(n *html.Node, key string) (string, bool) {
	i := slices.IndexFunc(n.Attr, func(a html.Attribute) bool { return a.Key == key && a.Namespace == "" })
	if i < 0 {
		return "", false
	}
	return n.Attr[i].Val, true
}

func attrOf(n *html.Node, key string) string { v, _ := attr(n, key); return v }

func within(n *html.Node, name string) bool {
	for up := n.Parent; up != nil; up = up.Parent {
		if up.Data == name {
			return true
		}
	}
	return false
}

func firstElement(n *html.Node) *html.Node {
	for k := range n.ChildNodes() {
		if k.Type == html.ElementNode {
			return k
		}
	}
	return nil
}

// words is the text of an element.
func words(n *html.Node) string {
	var b strings.Builder
	for k := range n.Descendants() {
		if k.Type == html.TextNode {
			b.WriteString(k.Data + " ")
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}
