package notify

import (
	"context"

	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/mail"
	"perennial/internal/message"
	"perennial/internal/settings"
	"perennial/internal/store"
	"perennial/internal/team"
)

// What outlasts a session is told to whose account it is, so that who did not do it hears of it.

// told says whose account an entry is about, and what it says.
type told struct {
	words string // the end of their key
	by    bool   // it is told to who did it: it was done in their name, to somebody or something else
}

// ofAccounts are the entries that somebody of the team hears of. Those of a second factor say which it is.
var ofAccounts = map[journal.Name]told{
	journal.TeamMemberPasswordChanged:  {"password", false},
	journal.TeamMemberRecoveryCodeUsed: {"recovery_code", false},
	journal.TeamMemberInvited:          {"invitation", true},
	journal.TeamMemberRoleChanged:      {"role", true},
	journal.TeamMemberLinkCreated:      {"link", true},
	journal.APIKeyCreated:              {"api_key", true},
}

func ofAccount(e *journal.Event) (told, bool) {
	end := map[journal.Name]string{journal.TeamMemberSecondFactorEnabled: "on", journal.TeamMemberSecondFactorDisabled: "off"}[e.Type]
	if end == "" {
		t, ok := ofAccounts[e.Type]
		return t, ok
	}
	if string(e.Detail("factor")) == `"passkey"` {
		return told{"passkey_" + end, false}, true
	}
	return told{"app_" + end, false}, true
}

// tellsMember says whom of the team an entry is told to.
func tellsMember(e *journal.Event) (what note, ok bool) {
	t, ok := ofAccount(e)
	if !ok {
		return what, false
	}
	what.Name = message.AccountChanged
	if t.by {
		if e.Actor.Kind == journal.ActorTeamMember {
			what.Member = id.ID(e.Actor.ID)
		}
		return what, what.Member != ""
	}
	for _, ref := range e.Targets {
		if ref.Kind == journal.TeamMember {
			what.Member = ref.ID
			break
		}
	}
	return what, what.Member != ""
}

// composeAccount makes a message to somebody of the team about their own account; nil when they are not in it any more.
func (n *Notifier) composeAccount(ctx context.Context, key id.ID, what note, general *settings.General, t *message.Template) (*mail.Message, message.Text, error) {
	none := message.Text{}
	who, err := journal.Get[team.TeamMember](n.reader(ctx), journal.TeamMember, what.Member)
	if err != nil || who.Status != team.Active || who.Email.Erased || who.Email.Value == "" {
		return nil, none, err
	}
	st, err := n.Store.EventByID(ctx, n.Store.Read, store.Opened, what.Event)
	if err != nil {
		return nil, none, store.Fault(err)
	}
	about, ok := ofAccount(st.Event)
	if !ok {
		return nil, none, fault.New(fault.NotFound, "unknown_event", "The entry %s is not about an account.", st.ID)
	}
	v := values{n: n, ctx: ctx, general: general}
	v.language("", general.Locale)
	said := map[string]string{"shop_name": general.Name, "what": v.p.Say("account." + about.words), "device": v.device(st.Source.UserAgent.Value),
		"time": v.p.Time(st.RecordedAt.In(settings.Zone(general)))}
	text := message.Says(what.Name, t, v.p.Language)
	out, err := message.Render(text, general.Name, said)
	if err != nil {
		return nil, text, err
	}
	m := Letter(general, who.Email.Value, out)
	m.ID = string(key)
	return &m, text, nil
}
