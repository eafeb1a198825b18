package main

import (
	"fmt"
	"go/token"
	"slices"
	"strings"
)

// about is what a schema says about itself.
func about(s *schema) string {
	text := s.Description
	if len(s.Enum) > 1 && s.is("string") {
		var values []string
		for _, v := range s.Enum {
			if v != nil {
				values = append(values, fmt.Sprint(v))
			}
		}
		text = strings.TrimSpace(text + " One of " + strings.Join(values, ", ") + ".")
	}
	if s.Default != nil {
		text = strings.TrimSpace(text + fmt.Sprintf(" Default: %v.", s.Default))
	}
	return text
}

// comment is a comment that begins with a name, in lines of at most 120 columns; empty when there is nothing to say.
func comment(name, text, indent string) string {
	words := strings.Fields(name + " " + text)
	if text == "" || len(words) == 0 {
		return ""
	}
	var b strings.Builder
	line := indent + "//"
	for _, w := range words {
		if len(line)+1+len(w) > 120 {
			b.WriteString(line + "\n")
			line = indent + "//"
		}
		line += " " + w
	}
	return b.String() + line + "\n"
}

var initialisms = []string{"id", "url", "ip", "api", "mrr", "sku"}

// goName is the exported name of a member: payment_method_id is PaymentMethodID.
func goName(name string) string {
	var b strings.Builder
	for word := range strings.FieldsFuncSeq(name, func(r rune) bool { return r == '_' || r == '-' || r == '.' || r == ' ' }) {
		switch {
		case slices.Contains(initialisms, word):
			b.WriteString(strings.ToUpper(word))
		case word == "ids":
			b.WriteString("IDs")
		default:
			b.WriteString(strings.ToUpper(word[:1]) + word[1:])
		}
	}
	return b.String()
}

// pathArguments names the parameters of a path: that of /customers/{id}/addresses/{part} are id and address.
func pathArguments(path string) []string {
	var out []string
	before := ""
	for part := range strings.SplitSeq(strings.Trim(path, "/"), "/") {
		if name, ok := strings.CutPrefix(part, "{"); ok {
			name = strings.TrimSuffix(name, "}")
			if name == "part" {
				name = singular(before)
			}
			if token.IsKeyword(name) {
				name += "Name"
			}
			out = append(out, name)
		}
		before = part
	}
	return out
}

func singular(name string) string {
	if rest, ok := strings.CutSuffix(name, "sses"); ok {
		name = rest + "ss"
	} else {
		name = strings.TrimSuffix(name, "s")
	}
	name = goName(name)
	return strings.ToLower(name[:1]) + name[1:]
}
