package fault

import (
	"fmt"
	"reflect"
	"strings"
)

// Reason says why a value is refused: by a stable code and its arguments, for programs and for those who say it in other languages, and in
// a sentence.
type Reason struct {
	Code   string
	Detail string
	Args   Args
}

// Because makes a reason. The sentence names arguments in braces, "At most {most} items."; pairs are their names and values in turn. A
// code has the same arguments wherever it is used: docs/errors.md lists them.
func Because(code, sentence string, pairs ...any) *Reason {
	args := argsOf(pairs)
	return &Reason{Code: code, Detail: args.fill(sentence), Args: args}
}

// String is the sentence; nothing of no reason.
func (r *Reason) String() string {
	if r == nil {
		return ""
	}
	return r.Detail
}

// About puts in front of the sentence what it is about.
func (r *Reason) About(what string) *Reason {
	return &Reason{Code: r.Code, Detail: what + ": " + r.Detail, Args: r.Args}
}

// Arg is a value that a sentence names.
type Arg struct {
	Name  string
	Value any // text, a whole number, a date, or a list of texts
}

// Args are the values that a sentence names, in its order.
type Args []Arg

func argsOf(pairs []any) Args {
	var args Args
	for i := 0; i+1 < len(pairs); i += 2 {
		args = append(args, Arg{fmt.Sprint(pairs[i]), pairs[i+1]})
	}
	return args
}

// Map gives the values as text: a number in decimal, a date as 2006-01-02, a list with commas between its texts. It is nil when there are
// none.
func (a Args) Map() map[string]string {
	if len(a) == 0 {
		return nil
	}
	m := make(map[string]string, len(a))
	for _, arg := range a {
		m[arg.Name] = text(arg.Value)
	}
	return m
}

// Pairs gives names and values in turn.
func (a Args) Pairs() []any {
	out := make([]any, 0, 2*len(a))
	for _, arg := range a {
		out = append(out, arg.Name, arg.Value)
	}
	return out
}

// fill puts the values into a sentence, dates in words. A name in braces that has no value stays as it is.
func (a Args) fill(sentence string) string {
	places := make([]string, 0, 2*len(a))
	for _, arg := range a {
		words := text(arg.Value)
		if d, ok := arg.Value.(interface{ Long() string }); ok {
			words = d.Long()
		}
		places = append(places, "{"+arg.Name+"}", words)
	}
	return strings.NewReplacer(places...).Replace(sentence)
}

func text(v any) string {
	if list := reflect.ValueOf(v); list.Kind() == reflect.Slice {
		words := make([]string, list.Len())
		for i := range words {
			words[i] = fmt.Sprint(list.Index(i))
		}
		return strings.Join(words, ", ")
	}
	return fmt.Sprint(v)
}
