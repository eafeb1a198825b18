package message

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/settings"
)

// World is what a change of a template needs.
type World struct{ Template *Template } // nil: never changed

// UpdateText writes what a message says in a language. Texts that are what the program says anyway are not kept.
type UpdateText struct {
	Name Name
	Text Text
}

func (c UpdateText) Load(r journal.Reader) (w World, err error) { return load(r, c.Name) }

// Decide refuses wrong fields.
func (c UpdateText) Decide(w World, _ time.Time) (journal.Decision, error) {
	k, ok := Of(c.Name)
	if !ok {
		return journal.Decision{}, unknown(c.Name)
	}
	t := c.Text
	t.Subject, t.Body = strings.TrimSpace(t.Subject), strings.TrimSpace(strings.ReplaceAll(t.Body, "\r\n", "\n"))
	var f fault.Fields
	t.check(&f, k, "")
	if err := f.Err(); err != nil {
		return journal.Decision{}, err
	}
	next := w.next(c.Name)
	next.Texts = slices.DeleteFunc(next.Texts, func(x Text) bool { return x.Language == t.Language })
	if t != defaults()[t.Language][c.Name] {
		next.Texts = append(next.Texts, t)
		slices.SortFunc(next.Texts, func(a, b Text) int { return cmp.Compare(a.Language, b.Language) })
	}
	return w.decide(journal.NotificationTemplateUpdated, next)
}

// Disable stops a message. Refusal: message_needed.
type Disable struct{ Name Name }

func (c Disable) Load(r journal.Reader) (World, error) { return load(r, c.Name) }

func (c Disable) Decide(w World, _ time.Time) (journal.Decision, error) {
	k, ok := Of(c.Name)
	if !ok {
		return journal.Decision{}, unknown(c.Name)
	}
	if k.Needed {
		return journal.Decision{}, fault.New(fault.Conflict, "message_needed",
			"Nobody could get in without this message, so it cannot be switched off.")
	}
	next := w.next(c.Name)
	next.Disabled = true
	return w.decide(journal.NotificationTemplateDisabled, next)
}

// Enable sends a message again that was stopped.
type Enable struct{ Name Name }

func (c Enable) Load(r journal.Reader) (World, error) { return load(r, c.Name) }

func (c Enable) Decide(w World, _ time.Time) (journal.Decision, error) {
	if _, ok := Of(c.Name); !ok {
		return journal.Decision{}, unknown(c.Name)
	}
	next := w.next(c.Name)
	next.Disabled = false
	return w.decide(journal.NotificationTemplateEnabled, next)
}

func load(r journal.Reader, n Name) (w World, err error) {
	w.Template, err = journal.Find[Template](r, journal.NotificationTemplate, id.ID(n))
	return w, err
}

func unknown(n Name) error {
	return fault.New(fault.NotFound, "unknown_notification_template", "There is no message %q.", string(n))
}

func (w World) next(n Name) *Template {
	if w.Template == nil {
		return &Template{Name: n, Texts: []Text{}}
	}
	return journal.Clone(w.Template)
}

func (w World) decide(typ journal.Name, next *Template) (journal.Decision, error) {
	d := journal.Decision{Result: next.Ref()}
	if w.Template == nil && !next.Disabled && len(next.Texts) == 0 {
		return d, nil // as the program has it
	}
	var before journal.State
	if w.Template != nil {
		before = w.Template
	}
	changes, err := journal.Diff(before, next)
	if err == nil && len(changes) > 0 {
		d.Drafts = []journal.Draft{{Type: typ, Before: before, After: next}}
	}
	return d, err
}

// Check says which invariant of a template is broken, if any.
func Check(s journal.State) error {
	t, ok := s.(*Template)
	if !ok {
		return fmt.Errorf("message: no template: %T", s)
	}
	k, ok := Of(t.Name)
	if !ok {
		return unknown(t.Name)
	}
	var f fault.Fields
	for i, x := range t.Texts {
		x.check(&f, k, fmt.Sprintf("/texts/%d", i))
	}
	if k.Needed && t.Disabled {
		f.Add("/disabled", "message_needed", "This message cannot be switched off.")
	}
	return f.Err()
}

// Undo says whether an entry may be undone, where restored is what the template would be then.
func Undo(_ *journal.Event, _ time.Time, _, restored journal.State, _ *settings.General) error {
	if err := Check(restored); err != nil {
		return fault.Wrap(err, fault.Conflict, "undo_not_allowed", "What this entry changed cannot be put back: it would not be allowed today.")
	}
	return nil
}
