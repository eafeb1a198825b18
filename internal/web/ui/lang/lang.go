// Package lang says things in the reader's language.
//
// A catalogue is a folder with one file a language, named after it ("de.txt"), with a line "key = text" for each text; lines that
// begin with # explain. A text may hold variables, "{name}", and choose by a number, in the form of ICU's messages:
//
//	skips.left = {count, plural, one {# order can still be skipped} other {# orders can still be skipped}}
//
// where # is the number and the forms are those of CLDR's plural rules for the language. English is the measure: Check names every
// key that a language lacks or has too much, and every text whose variables differ from the English one.
//
// A Printer is a language with the reader's locale. Pages get theirs through the context (With, Of), so that a templ component
// needs no argument more. Dates are written here too, because a day belongs to no sentence's grammar; amounts of money are ui.Money's.
package lang

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"golang.org/x/text/language"
)

// English is the language that every text is in first.
const English = "en"

// Catalogue holds the texts of all languages. It does not change.
type Catalogue struct {
	names   []string                      // languages, English first
	texts   map[string]map[string]message // by language and key
	matcher language.Matcher              // of names
}

// Read reads a folder of languages. The texts have to be well formed; whether they are complete says Check.
func Read(files fs.FS, folder string) (*Catalogue, error) {
	entries, err := fs.ReadDir(files, folder)
	if err != nil {
		return nil, err
	}
	c := &Catalogue{names: []string{English}, texts: map[string]map[string]message{}}
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), ".txt")
		if !ok {
			continue
		}
		b, err := fs.ReadFile(files, folder+"/"+e.Name())
		if err != nil {
			return nil, err
		}
		if c.texts[name], err = parseFile(string(b)); err != nil {
			return nil, fmt.Errorf("lang: %s: %w", e.Name(), err)
		}
		if _, ok := calendars[name]; !ok {
			return nil, fmt.Errorf("lang: the months of %s are unknown", name)
		}
		if name != English {
			c.names = append(c.names, name)
		}
	}
	if c.texts[English] == nil {
		return nil, errors.New("lang: there is no English")
	}
	var tags []language.Tag
	for _, n := range c.names {
		tag, err := language.Parse(n)
		if err != nil {
			return nil, fmt.Errorf("lang: %s is not a language: %w", n, err)
		}
		tags = append(tags, tag)
	}
	c.matcher = language.NewMatcher(tags)
	return c, nil
}

func parseFile(s string) (map[string]message, error) {
	texts := map[string]message{}
	for i, line := range strings.Split(s, "\n") {
		if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		key, text, ok := strings.Cut(line, " = ")
		if !ok || strings.Contains(key, " ") {
			return nil, fmt.Errorf("line %d is not key = text", i+1)
		}
		if _, twice := texts[key]; twice {
			return nil, fmt.Errorf("line %d: %s stands there twice", i+1, key)
		}
		m, err := parse(text)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
		texts[key] = m
	}
	return texts, nil
}

// Languages gives the languages of the catalogue, English first.
func (c *Catalogue) Languages() []string { return slices.Clone(c.names) }

// Has says whether there is a language of that name.
func (c *Catalogue) Has(name string) bool { return slices.Contains(c.names, name) }

// Keys gives all keys, sorted.
func (c *Catalogue) Keys() []string { return slices.Sorted(maps.Keys(c.texts[English])) }

// Variables gives the names of what a key's English text is filled with, sorted; false for an unknown key.
func (c *Catalogue) Variables(key string) ([]string, bool) {
	m, ok := c.texts[English][key]
	return m.variables(), ok
}

// Check names all that is wrong between the languages.
func (c *Catalogue) Check() error {
	var wrong []error
	for _, name := range c.names {
		for key, m := range c.texts[English] {
			other, ok := c.texts[name][key]
			switch {
			case !ok:
				wrong = append(wrong, fmt.Errorf("%s lacks %s", name, key))
			case !slices.Equal(m.variables(), other.variables()):
				wrong = append(wrong, fmt.Errorf("%s: %s has the variables %q, in English %q", name, key, other.variables(), m.variables()))
			case len(other.literal()) == 0 && len(other.variables()) == 0:
				wrong = append(wrong, fmt.Errorf("%s: %s is empty", name, key))
			}
		}
		for key := range c.texts[name] {
			if _, ok := c.texts[English][key]; !ok {
				wrong = append(wrong, fmt.Errorf("%s has %s, English does not", name, key))
			}
		}
	}
	slices.SortFunc(wrong, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errors.Join(wrong...)
}

// Match gives the language for wishes, the first one first. A wish is a language tag or the value of an Accept-Language header; what
// cannot be read or met is passed over. English is the last resort. locale is the tag that was met, for amounts and dates.
func (c *Catalogue) Match(wishes ...string) (name, locale string) {
	for _, w := range wishes {
		tags, _, err := language.ParseAcceptLanguage(w)
		if err != nil || len(tags) == 0 {
			continue
		}
		for _, t := range tags {
			_, i, sure := c.matcher.Match(t)
			if sure == language.No {
				continue
			}
			name := c.names[i]
			if base, _ := t.Base(); base.String() == name {
				return name, t.String()
			}
			return name, name
		}
	}
	return English, English
}

// Printer speaks a language. It does not change.
type Printer struct {
	Language string // of the catalogue; the page's lang attribute
	Locale   string // BCP 47, of the same language: perhaps with a region
	tag      language.Tag
	texts    map[string]message
	spare    map[string]message // English
}

// Printer gives the printer of what Match gave.
func (c *Catalogue) Printer(name, locale string) *Printer {
	if !c.Has(name) {
		name, locale = English, English
	}
	return &Printer{Language: name, Locale: locale, tag: language.Make(name), texts: c.texts[name], spare: c.texts[English]}
}

// Say gives the text of a key. args are the names of its variables and their values in turn: words, whole numbers, or days (civil.Date),
// which are written in full. A key that the language lacks is said in English; tests keep that from happening.
func (p *Printer) Say(key string, args ...any) string {
	m, ok := p.texts[key]
	if !ok {
		if m, ok = p.spare[key]; !ok {
			return key
		}
	}
	return m.fill(p, args)
}

// Knows says whether there is a text for a key.
func (p *Printer) Knows(key string) bool {
	_, ok := p.spare[key]
	return ok
}

type inContext struct{}

// With gives a context whose pages speak through a printer.
func With(ctx context.Context, p *Printer) context.Context {
	return context.WithValue(ctx, inContext{}, p)
}

// Of gives a context's printer. One without says keys: nobody is ever shown a page without one.
func Of(ctx context.Context) *Printer {
	if p, ok := ctx.Value(inContext{}).(*Printer); ok {
		return p
	}
	return &Printer{Language: English, Locale: English, tag: language.English}
}
