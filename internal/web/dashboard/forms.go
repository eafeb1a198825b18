package dashboard

import (
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/program"
	"perennial/internal/team"
	"perennial/internal/web/ui"
)

// form is a page with one form that runs one command. GET shows it with a preview of what the command would come to; POST runs it, and with ui.Preview
// at the end of the address previews it as it is filled in.
type form struct {
	path       string // "/customers/{id}/edit"
	title      string
	verb       string // on the button
	lead       string // a sentence over it; empty: none
	danger     bool
	permission team.Permission
	also       []team.Permission
	events     []journal.Name
	on         func(c *call) (subject, error)
	fields     func(c *call, s subject, v url.Values) ([]formField, error)
	command    func(c *call, s subject, in *input) journal.Command
	untouched  func(c *call, s subject) journal.Command     // what is foreseen before anything is typed; nil: nothing is
	to         func(s subject, out *program.Outcome) string // nil: back to the subject
}

// subject is what a form is about.
type subject struct {
	state   journal.State // nil for what is to be made
	version int64         // 0: nobody can be ahead of the form
	back    string
	crumbs  []ui.Link
}

// about finds what the form at an address with {id} is about: a row of a kind, whose page is below that of the list.
func about[T any, P interface {
	*T
	journal.State
}](kind journal.Kind, list ui.Link, name func(P) string) func(*call) (subject, error) {
	return func(c *call) (subject, error) {
		row, version, err := stateOf[T, P](c, kind, c.r.PathValue("id"))
		if err != nil {
			return subject{}, err
		}
		at := list.Href + "/" + string(row.Ref().ID)
		return subject{row, version, at, []ui.Link{list, {Href: at, Text: name(row)}}}, nil
	}
}

// aboutPart finds the row {part} of a kind, which has to belong to the whole.
func aboutPart[T any, P interface {
	*T
	journal.State
}](whole func(*call) (subject, error), kind journal.Kind, owner func(P) id.ID) func(*call) (subject, error) {
	return func(c *call) (subject, error) {
		s, err := whole(c)
		if err != nil {
			return s, err
		}
		row, version, err := stateOf[T, P](c, kind, string(part(c)))
		if err == nil && owner(row) != s.state.Ref().ID {
			_, _, err = stateOf[T, P](c, kind, "")
		}
		s.state, s.version = row, version
		return s, err
	}
}

func (d *Dashboard) form(f form) {
	d.on(route{pattern: "GET " + f.path, permission: f.permission, also: f.also}, func(c *call) (answer, error) { return c.showForm(f, c.r.URL.Query(), nil) })
	d.on(route{pattern: "POST " + f.path, permission: f.permission, also: f.also, events: f.events}, func(c *call) (answer, error) { return c.sendForm(f) })
	d.on(route{pattern: "POST " + f.path + ui.Preview, permission: f.permission, also: f.also}, func(c *call) (answer, error) { return c.showForm(f, c.r.PostForm, nil) })
}

func (c *call) showForm(f form, v url.Values, p problems) (answer, error) {
	s, err := f.on(c)
	if err != nil {
		return answer{}, err
	}
	view := actionView{At: ui.WithoutPreview(c.r.URL.Path), Back: s.back, Lead: f.lead, Verb: f.verb, Danger: f.danger, Version: s.version, Comment: v.Get("comment"), Problems: p}
	out := answer{title: f.title, narrow: true, head: ui.Head{Crumbs: s.crumbs}}
	if f.fields != nil {
		if view.Fields, err = f.fields(c, s, v); err != nil {
			return out, err
		}
	}
	values := url.Values{}
	maps.Copy(values, v)
	for i, field := range view.Fields {
		view.Fields[i].Problem = p[field.Name]
		if !values.Has(field.Name) && field.kind != "boxes" && field.kind != "box" {
			values.Set(field.Name, field.Value)
		}
	}
	// An untouched form is not foreseen: it says nothing yet. One without fields is, and one whose outcome no field decides.
	if len(view.Fields) == 0 || len(v) > 0 && p == nil || f.untouched != nil {
		in := &input{Values: values}
		cmd := f.command(c, s, in)
		if f.untouched != nil && (len(v) == 0 || p != nil) {
			cmd = f.untouched(c, s)
		}
		if err := in.wrong.Err(); err != nil {
			view.Foreseen.Problem = fault.As(err).Fields[0].Detail
		} else if view.Foreseen, err = c.foresee(cmd, "none"); err != nil {
			return out, err
		}
	}
	out.body = actionBody(view)
	return out, nil
}

func (c *call) sendForm(f form) (answer, error) {
	s, err := f.on(c)
	if err != nil {
		return answer{}, err
	}
	in := &input{Values: c.r.PostForm}
	cmd := f.command(c, s, in)
	again := func(p problems) answer {
		out, err := c.showForm(f, c.r.PostForm, p)
		if err != nil {
			return answer{title: f.title, body: boxed(plainBody(fault.As(err).Public))}
		}
		return out
	}
	if err := in.wrong.Err(); err != nil {
		return c.formAgain(f.title, err, again)
	}
	c.comment()
	req := &program.Request{Command: cmd}
	if version, err := strconv.ParseInt(in.text("version"), 10, 64); err == nil && s.state != nil && version > 0 {
		req.Target, req.IfMatch = s.state.Ref(), &version
	}
	out, err := c.run(req)
	switch {
	case err != nil && fault.As(err).Kind == fault.Stale:
		return c.refuseStale(again(nil), s.state.Ref(), in.text("version"), cmd)
	case err != nil:
		return c.formAgain(f.title, err, again)
	}
	to := s.back
	if f.to != nil {
		to = f.to(s, out)
	}
	return after(to, out.Events), nil
}

// given is a field of a form as the pointer that the commands take: every field of a form is said.
func (in *input) given(name string) *string { return new(in.text(name)) }

// words reads a list with commas.
func (in *input) words(name string) []string {
	var out []string
	for w := range strings.SplitSeq(in.text(name), ",") {
		if w = strings.TrimSpace(w); w != "" && !slices.Contains(out, w) {
			out = append(out, w)
		}
	}
	return out
}

func resultOf(prefix string) func(subject, *program.Outcome) string {
	return func(s subject, out *program.Outcome) string {
		if out.Decision.Result.ID == "" {
			return s.back
		}
		return prefix + string(out.Decision.Result.ID)
	}
}

func part(c *call) id.ID { return id.ID(c.r.PathValue("part")) }
