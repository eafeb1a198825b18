package api

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/message"
	"perennial/internal/program"
	"perennial/internal/settings"
	"perennial/internal/store"
	"perennial/internal/team"
	"perennial/internal/view"
)

type (
	templateText struct {
		Language string `json:"language" enum:"en,de,fr,es"`
		Subject  string `json:"subject"`
		Body     string `json:"body" doc:"Markdown, with {{variables}}."`
		Own      bool   `json:"own" doc:"The store wrote it; false: it is as the program has it."`
	}
	templateView struct {
		ID        message.Name   `json:"id"`
		Version   int64          `json:"version" doc:"0 until the store changes something."`
		Title     string         `json:"title"`
		When      string         `json:"when"`
		Enabled   bool           `json:"enabled"`
		Needed    bool           `json:"needed" doc:"It cannot be switched off."`
		Variables []string       `json:"variables" nullable:"false"`
		Texts     []templateText `json:"texts" nullable:"false" doc:"One for each language."`
	}
	templateFilter struct{ Page }
	patchTemplate  struct {
		Commented
		Enabled bool `json:"enabled"`
	}
	putText struct {
		Commented
		Subject string `json:"subject"`
		Body    string `json:"body"`
	}
	previewInput struct {
		ID       string `path:"id"`
		Language string `query:"language" enum:"en,de,fr,es" default:"en"`
	}
	previewBody struct {
		Commented
		Language string  `json:"language,omitempty" doc:"en, the default, de, fr or es."`
		Subject  *string `json:"subject,omitempty" doc:"In place of the one that is saved."`
		Body     *string `json:"body,omitempty" doc:"In place of the one that is saved."`
	}
	previewView struct {
		Subject string `json:"subject"`
		Text    string `json:"text"`
		HTML    string `json:"html"`
	}
)

func viewOfTemplate(k message.Kind, t *message.Template, version int64) templateView {
	v := templateView{ID: k.Name, Version: version, Title: k.Title, When: k.When, Enabled: t == nil || !t.Disabled, Needed: k.Needed, Variables: k.Variables, Texts: []templateText{}}
	for _, l := range message.Languages {
		x := message.Says(k.Name, t, l)
		v.Texts = append(v.Texts, templateText{x.Language, x.Subject, x.Body, t != nil && slices.ContainsFunc(t.Texts, func(own message.Text) bool { return own.Language == l })})
	}
	return v
}

func viewTemplate(_ program.Query, ref journal.Ref, row store.Row) (templateView, error) {
	k, ok := message.Of(message.Name(ref.ID))
	if !ok {
		return templateView{}, unknownTemplate()
	}
	t, _ := row.State.(*message.Template) // nil: the store changed nothing
	return viewOfTemplate(k, t, row.Version), nil
}

func unknownTemplate() error {
	return fault.New(fault.NotFound, "unknown_notification_template", "There is no such message.")
}

// template loads what the store changed of a message that must be known.
func (a *API) template(ctx context.Context, key string) (message.Kind, store.Row, error) {
	k, ok := message.Of(message.Name(key))
	if !ok {
		return k, store.Row{}, unknownTemplate()
	}
	row, err := a.Store.Load(ctx, a.Store.Read, journal.Ref{Kind: journal.NotificationTemplate, ID: id.ID(key)})
	return k, row, store.Fault(err)
}

func (a *API) notificationTemplates() {
	a.views[journal.NotificationTemplate] = anyView(viewTemplate)
	const tag = "Messages"
	view, edit := team.NotificationsView, team.NotificationsEdit
	list(a, route{method: http.MethodGet, path: "/notification-templates", tag: tag, summary: "List the messages to subscribers", permission: view},
		func(in *templateFilter) (Page, any) { return in.Page, nil },
		func(ctx context.Context, _ *templateFilter, limit int, after string) (out []templateView, err error) {
			skip := after != ""
			for _, k := range message.Kinds {
				if skip {
					skip = string(k.Name) != after
					continue
				}
				_, row, err := a.template(ctx, string(k.Name))
				if err != nil || len(out) == limit {
					return out, err
				}
				t, _ := row.State.(*message.Template)
				out = append(out, viewOfTemplate(k, t, row.Version))
			}
			return out, nil
		}, func(v templateView) string { return string(v.ID) })
	read(a, route{method: http.MethodGet, path: "/notification-templates/{id}", tag: tag, summary: "Read a message", permission: view},
		func(ctx context.Context, in *byID) (templateView, error) {
			k, row, err := a.template(ctx, in.ID)
			t, _ := row.State.(*message.Template)
			return viewOfTemplate(k, t, row.Version), err
		})
	read(a, route{method: http.MethodGet, path: "/notification-templates/{id}/preview", tag: tag, summary: "Show a message as a mail", permission: view},
		func(ctx context.Context, in *previewInput) (previewView, error) {
			return a.preview(ctx, in.ID, previewBody{Language: in.Language})
		})
	read(a, route{method: http.MethodPost, path: "/notification-templates/{id}/preview", tag: tag, summary: "Show a text as a mail, before it is saved", permission: view},
		func(ctx context.Context, in *onThing[previewBody]) (previewView, error) {
			return a.preview(ctx, in.ID, in.Body)
		})
	change(a, route{method: http.MethodPatch, path: "/notification-templates/{id}", tag: tag, summary: "Switch a message off, or on", permission: edit,
		events: []journal.Name{journal.NotificationTemplateEnabled, journal.NotificationTemplateDisabled}},
		func(_ context.Context, in *onThing[patchTemplate]) (plan, error) {
			p := plan{command: journal.Bind(message.Disable{Name: message.Name(in.ID)}), target: journal.Ref{Kind: journal.NotificationTemplate, ID: id.ID(in.ID)}}
			if in.Body.Enabled {
				p.command = journal.Bind(message.Enable{Name: message.Name(in.ID)})
			}
			return p, nil
		}, viewTemplate)
	change(a, route{method: http.MethodPut, path: "/notification-templates/{id}/texts/{part}", tag: tag, summary: "Write what a message says in a language", permission: edit,
		events: []journal.Name{journal.NotificationTemplateUpdated}},
		func(_ context.Context, in *onPart[putText]) (plan, error) {
			c := message.UpdateText{Name: message.Name(in.ID), Text: message.Text{Language: strings.ToLower(in.Part), Subject: in.Body.Subject, Body: in.Body.Body}}
			return plan{command: journal.Bind(c), target: journal.Ref{Kind: journal.NotificationTemplate, ID: id.ID(in.ID)}}, nil
		}, viewTemplate)
}

// preview is a message with values of a real subscription, for who may see them; else with masked ones, which nobody takes for real.
func (a *API) preview(ctx context.Context, name string, in previewBody) (out previewView, err error) {
	k, row, err := a.template(ctx, name)
	if err != nil {
		return out, err
	}
	general, err := journal.Get[settings.General](program.NewReader(ctx, a.Store, a.Store.Read), journal.Settings, settings.PageGeneral)
	if err != nil {
		return out, err
	}
	t, _ := row.State.(*message.Template)
	text := message.Says(k.Name, t, in.Language)
	if in.Subject != nil {
		text.Subject = *in.Subject
	}
	if in.Body != nil {
		text.Body = *in.Body
	}
	if err := text.Check(k.Name); err != nil {
		return out, err
	}
	values := message.Sample(general.Name)
	switch {
	case !callOf(ctx).personal:
		for _, name := range message.Personal {
			values[name] = view.Mask
		}
	case a.Values != nil:
		if values, err = a.Values(ctx, text.Language); err != nil {
			return out, err
		}
	}
	m, err := message.Render(text, general.Name, values)
	return previewView{m.Subject, m.Text, m.HTML}, err
}
