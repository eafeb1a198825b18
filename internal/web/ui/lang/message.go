package lang

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/text/feature/plural"

	"perennial/internal/civil"
)

// message is a text: words, variables and choices in turn.
type message []part

// part is one of words, a variable, or a choice by a variable.
type part struct {
	words string
	name  string
	forms map[string]message // by CLDR's name of the form; nil for no choice
}

// number in a form of a choice stands for the number itself.
const number = "#"

var formNames = map[plural.Form]string{plural.Zero: "zero", plural.One: "one", plural.Two: "two", plural.Few: "few", plural.Many: "many", plural.Other: "other"}

// parse reads a text.
func parse(s string) (message, error) {
	m, rest, err := parseUntil(s, "")
	if err == nil && rest != "" {
		err = errors.New("a } closes nothing")
	}
	return m, err
}

// parseUntil reads up to a } that it did not open. counted is the variable of the choice that it is in.
func parseUntil(s, counted string) (m message, rest string, err error) {
	stops := "{}"
	if counted != "" {
		stops += number
	}
	for s != "" {
		i := strings.IndexAny(s, stops)
		if i < 0 {
			return append(m, part{words: s}), "", nil
		}
		if i > 0 {
			m = append(m, part{words: s[:i]})
		}
		switch s[i] {
		case '}':
			return m, s[i:], nil
		case '#':
			m, s = append(m, part{name: counted}), s[i+1:]
		default:
			var p part
			if p, s, err = parseVariable(s[i+1:]); err != nil {
				return nil, "", err
			}
			m = append(m, p)
		}
	}
	return m, "", nil
}

// parseVariable reads what follows a {, with its }.
func parseVariable(s string) (p part, rest string, err error) {
	i := strings.IndexAny(s, ",}")
	if i <= 0 {
		return p, "", errors.New("a { is not closed, or names nothing")
	}
	p.name = s[:i]
	if s[i] == '}' {
		return p, s[i+1:], nil
	}
	s, ok := strings.CutPrefix(s[i+1:], " plural,")
	if !ok {
		return p, "", fmt.Errorf("%s: only plural chooses", p.name)
	}
	p.forms = map[string]message{}
	for {
		s = strings.TrimLeft(s, " ")
		if after, ok := strings.CutPrefix(s, "}"); ok {
			if p.forms["other"] == nil {
				return p, "", fmt.Errorf("%s: the form other is missing", p.name)
			}
			return p, after, nil
		}
		form, inner, ok := strings.Cut(s, " {")
		if !ok || !slices.Contains([]string{"zero", "one", "two", "few", "many", "other"}, form) {
			return p, "", fmt.Errorf("%s: %q is no form", p.name, form)
		}
		m, after, err := parseUntil(inner, p.name)
		if err != nil {
			return p, "", err
		}
		if after == "" {
			return p, "", fmt.Errorf("%s: the form %s is not closed", p.name, form)
		}
		p.forms[form], s = m, after[1:]
	}
}

// variables gives the names of the variables, sorted.
func (m message) variables() []string {
	var out []string
	for _, p := range m {
		if p.name != "" {
			out = append(out, p.name)
		}
		for _, f := range p.forms {
			out = append(out, f.variables()...)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// literal gives the words outside of choices.
func (m message) literal() string {
	var b strings.Builder
	for _, p := range m {
		b.WriteString(p.words)
	}
	return b.String()
}

func (m message) fill(p *Printer, args []any) string {
	var b strings.Builder
	for _, x := range m {
		switch {
		case x.name == "":
			b.WriteString(x.words)
		case x.forms == nil:
			b.WriteString(p.value(x.name, args))
		default:
			n, _ := given(x.name, args).(int) // another kind chooses as 0 does
			form := formNames[plural.Cardinal.MatchPlural(p.tag, max(n, -n)%10_000_000, 0, 0, 0, 0)]
			chosen, ok := x.forms[form]
			if !ok {
				chosen = x.forms["other"]
			}
			b.WriteString(chosen.fill(p, args))
		}
	}
	return b.String()
}

// value writes a variable; one that was not given stays as it stands in the text.
func (p *Printer) value(name string, args []any) string {
	switch v := given(name, args).(type) {
	case nil:
		return "{" + name + "}"
	case string:
		return v
	case int:
		return strconv.Itoa(v)
	case civil.Date:
		return p.Date(v)
	default:
		return fmt.Sprint(v)
	}
}

func given(name string, args []any) any {
	for i := 0; i+1 < len(args); i += 2 {
		if args[i] == name {
			return args[i+1]
		}
	}
	return nil
}
