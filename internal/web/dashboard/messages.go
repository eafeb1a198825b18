package dashboard

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/message"
	"perennial/internal/notify"
	"perennial/internal/plain"
	"perennial/internal/query"
	"perennial/internal/team"
	"perennial/internal/web/ui"
)

func (d *Dashboard) registerMessages() {
	d.on(route{pattern: "GET /messages", permission: team.NotificationsView}, (*call).messagesPage)
	d.on(route{pattern: "GET /messages/{id}", permission: team.NotificationsView}, (*call).messagePage)
	d.on(route{pattern: "GET /messages/{id}/{part}/preview", permission: team.NotificationsView}, (*call).messagePreview)
	d.on(route{pattern: "POST /messages/{id}/{part}/test", permission: team.NotificationsEdit}, (*call).messageTest)
	edit := func(f form) { f.permission = team.NotificationsEdit; d.form(f) }
	edit(form{path: "/messages/{id}/{part}/edit", title: "Change the message", verb: "Save", lead: "Markdown. A paragraph that is only one link becomes a button.", events: []journal.Name{journal.NotificationTemplateUpdated}, on: (*call).aboutMessage,
		fields: func(c *call, _ subject, v url.Values) ([]formField, error) {
			k, t, err := c.message()
			if err != nil {
				return nil, err
			}
			x := message.Says(k.Name, t, string(part(c)))
			return []formField{textField("input", "subject", "Subject", filled(v, "subject", x.Subject), ""),
				textField("area", "body", "Text", filled(v, "body", x.Body), "It may say: {{"+strings.Join(k.Variables, "}}, {{")+"}}.")}, nil
		},
		command: func(c *call, _ subject, in *input) journal.Command {
			return journal.Bind(message.UpdateText{Name: message.Name(c.r.PathValue("id")), Text: message.Text{Language: string(part(c)), Subject: in.text("subject"), Body: in.text("body")}})
		}})
	edit(form{path: "/messages/{id}/disable", title: "Switch the message off", verb: "Switch off", danger: true, lead: "Nobody gets it any more, until it is switched on again.", events: []journal.Name{journal.NotificationTemplateDisabled}, on: (*call).aboutMessage,
		command: func(c *call, _ subject, _ *input) journal.Command {
			return journal.Bind(message.Disable{Name: message.Name(c.r.PathValue("id"))})
		}})
	edit(form{path: "/messages/{id}/enable", title: "Switch the message on", verb: "Switch on", events: []journal.Name{journal.NotificationTemplateEnabled}, on: (*call).aboutMessage,
		command: func(c *call, _ subject, _ *input) journal.Command {
			return journal.Bind(message.Enable{Name: message.Name(c.r.PathValue("id"))})
		}})
}

// message is the one that the address names, with what the store changed of it.
func (c *call) message() (message.Kind, *message.Template, error) {
	k, ok := message.Of(message.Name(c.r.PathValue("id")))
	if !ok || c.r.PathValue("part") != "" && !slices.Contains(message.Languages, string(part(c))) {
		return k, nil, fault.New(fault.NotFound, "unknown_notification_template", "There is no such message.")
	}
	t, err := journal.Find[message.Template](c.reader(), journal.NotificationTemplate, id.ID(k.Name))
	return k, t, err
}

func (c *call) aboutMessage() (subject, error) {
	k, t, err := c.message()
	if err != nil {
		return subject{}, err
	}
	at := "/messages/" + string(k.Name)
	s := subject{back: at, crumbs: []ui.Link{{Href: "/messages", Text: "Messages"}, {Href: at, Text: k.Title}}}
	if l := string(part(c)); l != "" {
		s.back += "?language=" + l
	}
	if t != nil {
		row, err := c.load(c.ctx, journal.NotificationTemplate, id.ID(k.Name))
		if err != nil {
			return s, err
		}
		s.state, s.version = t, row.Version
	}
	return s, nil
}

type messageRow struct {
	K       message.Kind
	Badge   ui.Badge
	Changed string
}

func messageBadge(k message.Kind, t *message.Template) ui.Badge {
	switch {
	case t != nil && t.Disabled:
		return ui.Badge{Text: "Off", Icon: "circle-x"}
	case k.Needed:
		return ui.Badge{Tone: ui.Good, Text: "Always on"}
	}
	return ui.Badge{Tone: ui.Good, Text: "On"}
}

func (c *call) messagesPage() (answer, error) {
	rows, err := c.allRows(journal.NotificationTemplate, query.Oldest)
	if err != nil {
		return answer{}, err
	}
	own := map[message.Name]*message.Template{}
	for _, r := range rows {
		t := r.State.(*message.Template)
		own[t.Name] = t
	}
	var list []messageRow
	for _, k := range message.Kinds {
		row := messageRow{K: k, Badge: messageBadge(k, own[k.Name])}
		if t := own[k.Name]; t != nil {
			var names []string
			for _, x := range t.Texts {
				names = append(names, languageNames[x.Language])
			}
			row.Changed = strings.Join(names, ", ")
		}
		list = append(list, row)
	}
	lead := "What subscribers are written, in their language. Change a text, or switch a message off."
	if c.Mail == nil {
		lead = "No messages are sent yet: start the program with --smtp-url and --mail-from."
	}
	return answer{title: "Messages", head: ui.Head{Lead: lead}, body: messagesBody(list)}, nil
}

type messageView struct {
	K             message.Kind
	At, Language  string
	Tabs          []ui.Tab
	Subject, Text string
	Own           bool
	MayEdit       bool
	MaySend       bool
	Disabled      bool
	To            string
	Log           []ui.Day
}

// rendered is the message of the address in a language, with values to look at: those of a subscriber, made up ones where there is none, and
// masked ones for who may not see personal values, who could not tell the two apart.
func (c *call) rendered(k message.Kind, t *message.Template, language string) (message.Mail, error) {
	shop := c.here().general.Name
	values := message.Sample(shop)
	switch {
	case !c.permitted(team.PersonalDataView):
		for _, name := range message.Personal {
			values[name] = plain.Mask
		}
	case c.Values != nil:
		var err error
		if values, err = c.Values(c.ctx, language); err != nil {
			return message.Mail{}, err
		}
	}
	return message.Render(message.Says(k.Name, t, language), shop, values)
}

func (c *call) messagePage() (answer, error) {
	k, t, err := c.message()
	if err != nil {
		return answer{}, err
	}
	language := c.r.FormValue("language")
	if !slices.Contains(message.Languages, language) {
		base, _, _ := strings.Cut(strings.ToLower(c.here().general.Locale), "-")
		language = cmp.Or(map[string]string{"de": "de", "fr": "fr", "es": "es"}[base], "en")
	}
	m, err := c.rendered(k, t, language)
	if err != nil {
		return answer{}, err
	}
	v := messageView{K: k, At: "/messages/" + string(k.Name), Language: language, Subject: m.Subject, Text: m.Text, MayEdit: c.permitted(team.NotificationsEdit), MaySend: c.Mail != nil, To: c.member.Email.Value,
		Disabled: t != nil && t.Disabled, Own: t != nil && slices.ContainsFunc(t.Texts, func(x message.Text) bool { return x.Language == language })}
	for _, l := range message.Languages {
		v.Tabs = append(v.Tabs, ui.Tab{Label: languageNames[l], Href: v.At + "?language=" + l, Current: l == language})
	}
	if t != nil {
		if v.Log, err = c.logOf(id.ID(k.Name)); err != nil {
			return answer{}, err
		}
	}
	a := answer{title: k.Title, head: ui.Head{Crumbs: []ui.Link{{Href: "/messages", Text: "Messages"}}, Badge: new(messageBadge(k, t)), Lead: k.When}, body: messageBody(v)}
	if v.MayEdit {
		a.act = messageActions(v)
	}
	return a, nil
}

// messagePreview is the message as mail programs show it, alone on a page that can do nothing.
func (c *call) messagePreview() (answer, error) {
	k, t, err := c.message()
	if err != nil {
		return answer{}, err
	}
	m, err := c.rendered(k, t, string(part(c)))
	if err != nil {
		return answer{}, err
	}
	c.w.Header().Set("Content-Type", "text/html; charset=utf-8")
	c.w.Header().Set("Content-Security-Policy", "sandbox; default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'")
	_, err = fmt.Fprint(c.w, m.HTML)
	return answer{sent: true}, err
}

// messageTest sends the message, with values to look at, to who asks.
func (c *call) messageTest() (answer, error) {
	k, t, err := c.message()
	if err != nil {
		return answer{}, err
	}
	to := "/messages/" + string(k.Name) + "?language=" + string(part(c))
	if c.Mail == nil {
		return answer{}, fault.New(fault.Conflict, "no_mail", "No messages are sent yet: start the program with --smtp-url and --mail-from.")
	}
	m, err := c.rendered(k, t, string(part(c)))
	if err != nil {
		return answer{}, err
	}
	if err := c.first(); err != nil {
		return answer{}, err
	}
	if err := c.Mail.Send(c.ctx, notify.Letter(c.here().general, c.member.Email.Value, m)); err != nil {
		c.Log.Warn("a test message could not be sent", "request_id", c.meta.Source.RequestID, "error", err)
		return answer{}, fault.Wrap(err, fault.Conflict, "mail_refused", "The mail server did not take the message. Its words are in the server's log.")
	}
	c.note("Sent to " + c.member.Email.Value + ".")
	return goTo(to), nil
}
