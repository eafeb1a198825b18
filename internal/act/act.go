// Package act holds what a person or a program may do, one value for each act: its input, the rule that allows it, the events that it may
// make, its command, and its words in English. The REST API, the Dashboard and the Portal are made from these values, so none of them can
// lack a field or run another command (TestEveryActHasItsForm, of both web faces).
//
// An input is one struct. The OpenAPI document reads its json and doc tags, forms read:
//
//	form   the widget: order (one of the orders to come), day, later (a day after today), number, unit
//	label  what the Dashboard calls the field, with hint
//	word   the key of the Portal's words, below "field."
//	before the field that it stands before in a form, where that is another order than the document's
package act

import (
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"perennial/internal/civil"
	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/subscription"
)

// Commented is embedded in every input.
type Commented struct {
	Comment string `json:"comment,omitempty" maxLength:"2000" doc:"Why; kept on the events."`
}

// Because gives the comment.
func (c Commented) Because() string { return c.Comment }

// Words are what the Dashboard says; the Portal's have keys of the act's name.
type Words struct {
	Title string // over the form, and in menus
	Verb  string // on the button
	Lead  string // a sentence over the form; empty: none
	Icon  string
}

// OnSubscription is something that can be done to a subscription.
type OnSubscription[In any] struct {
	Name    string // in addresses
	Summary string // in the OpenAPI document
	Words   Words
	Rule    subscription.Action
	Events  []journal.Name // what it may make
	// First is what a form begins with; nil: nothing.
	First func(s *subscription.Subscription) In
	// Useful says whether there is anything to do; nil: always.
	Useful  func(s *subscription.Subscription) bool
	Command func(key id.ID, in In) journal.Command
}

// Act is an OnSubscription of any input, for faces that read it from a form.
type Act struct {
	Name   string
	Words  Words
	Rule   subscription.Action
	Events []journal.Name
	Fields []Field
	// First are the values that a form begins with.
	First func(s *subscription.Subscription) map[string]string
	// Useful says whether there is anything to do.
	Useful func(s *subscription.Subscription) bool
	// Read makes the command of what a form says. What it cannot read, the command refuses when it is run, all of it together.
	Read func(key id.ID, get func(name string) string) journal.Command
}

// Field is a field of an input.
type Field struct {
	Name, Widget, Label, Hint, Word string
	Required                        bool

	before string // the field that it stands before in a form
}

// Day names the field that says for which day the act is, for what a store allows; empty: none does.
func (a Act) Day() string {
	for _, f := range a.Fields {
		if f.Widget == "order" || f.Widget == "day" || f.Widget == "later" {
			return f.Name
		}
	}
	return ""
}

// Form gives the act as forms know it.
func (x OnSubscription[In]) Form() Act {
	a := Act{Name: x.Name, Words: x.Words, Rule: x.Rule, Events: x.Events, Fields: fieldsOf(reflect.TypeFor[In]()), Useful: x.Useful}
	if a.Useful == nil {
		a.Useful = func(*subscription.Subscription) bool { return true }
	}
	a.First = func(s *subscription.Subscription) map[string]string {
		if x.First == nil {
			return nil
		}
		return texts(reflect.ValueOf(x.First(s)))
	}
	a.Read = func(key id.ID, get func(string) string) journal.Command {
		var in In
		var wrong fault.Fields
		read(reflect.ValueOf(&in).Elem(), get, &wrong)
		if err := wrong.Err(); err != nil {
			return refusal{err}
		}
		return x.Command(key, in)
	}
	return a
}

// refusal is a command that refuses whatever it is asked.
type refusal struct{ err error }

func (r refusal) Run(journal.Reader, time.Time) (journal.Decision, error) {
	return journal.Decision{}, r.err
}

func fieldsOf(t reflect.Type) []Field {
	var out []Field
	for f := range t.Fields() {
		if widget := f.Tag.Get("form"); widget != "" {
			out = append(out, Field{Name: nameOf(f), Widget: widget, Label: f.Tag.Get("label"), Hint: f.Tag.Get("hint"), Word: f.Tag.Get("word"),
				Required: !strings.Contains(f.Tag.Get("json"), ",omitempty"), before: f.Tag.Get("before")})
		}
	}
	for i, f := range out { // the order of the document is not always that of a form
		if to := slices.IndexFunc(out[:i], func(x Field) bool { return x.Name == f.before }); f.before != "" && to >= 0 {
			out = slices.Insert(slices.Delete(out, i, i+1), to, f)
		}
	}
	return out
}

func nameOf(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	return name
}

// texts are the values of an input as a form writes them.
func texts(in reflect.Value) map[string]string {
	out := map[string]string{}
	for f, v := range in.Fields() {
		if f.Tag.Get("form") == "" {
			continue
		}
		switch x := v.Interface().(type) {
		case *civil.Date:
			if x != nil {
				out[nameOf(f)] = x.String()
			}
		case civil.Date:
			out[nameOf(f)] = x.String()
		case int:
			out[nameOf(f)] = strconv.Itoa(x)
		default:
			out[nameOf(f)] = v.String()
		}
	}
	return out
}

// read fills an input with what a form says, and adds what it cannot read.
func read(in reflect.Value, get func(string) string, wrong *fault.Fields) {
	for f, v := range in.Fields() {
		if f.Tag.Get("form") == "" {
			continue
		}
		name := nameOf(f)
		said, at := strings.TrimSpace(get(name)), fault.Pointer(name)
		switch v.Interface().(type) {
		case *civil.Date:
			if d := date(said, at, wrong); !d.IsZero() {
				v.Set(reflect.ValueOf(&d))
			}
		case civil.Date:
			if said == "" {
				wrong.Add(at, "date_required", "Choose a date.")
			}
			v.Set(reflect.ValueOf(date(said, at, wrong)))
		case int:
			n, err := strconv.Atoi(said)
			if err != nil {
				wrong.Add(at, "number_invalid", "Give a whole number.")
			}
			v.SetInt(int64(n))
		default:
			v.SetString(said)
		}
	}
}

func date(said, at string, wrong *fault.Fields) civil.Date {
	if said == "" {
		return civil.Date{}
	}
	d, err := civil.Parse(said)
	if err != nil {
		wrong.Add(at, "date_invalid", "Give a date, such as 2027-03-01.")
	}
	return d
}
