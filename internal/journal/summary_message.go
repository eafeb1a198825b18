package journal

import "strings"

// messageSentences are those of messages and of what they say.
var messageSentences = map[Name]sentence{
	NotificationTemplateUpdated:  {did: func(e *Event) string { return "Changed the message" + templateWords(e) + languagesWords(e) }, undid: func(e *Event) string { return "Undid the change of the message" + templateWords(e) + languagesWords(e) }},
	NotificationTemplateEnabled:  {did: func(e *Event) string { return "Switched the message on:" + templateWords(e) }, undid: func(e *Event) string { return "Undid the switching off of the message" + templateWords(e) }},
	NotificationTemplateDisabled: {did: func(e *Event) string { return "Switched the message off:" + templateWords(e) }, undid: func(e *Event) string { return "Undid the switching on of the message" + templateWords(e) }},
	NotificationSent:             {did: func(e *Event) string { return "Sent the message" + messageWords(e) + " by e-mail" }},
	CustomerQuickActionViewed:    {did: func(e *Event) string { return "Opened the link" + quickWords(e) + " of a message" }},
	CustomerQuickActionUsed:      {did: func(e *Event) string { return "Used the link" + quickWords(e) + " of a message" }},
	NotificationFailed: {did: func(e *Event) string {
		return "Could not send the message" + messageWords(e) + form(", after %s", counted(number(detail(e, "tries")), "attempt"))
	}},
}

func quickWords(e *Event) string {
	return form(" “%s”", map[string]string{"skip": "skip this order", "reschedule": "move it to another day", "swap": "swap a product", "reactivate": "start it again", "pay": "pay now", "card": "change the card"}[text(detail(e, "action"))])
}

func templateWords(e *Event) string {
	return form(" “%s”", strings.ReplaceAll(string(e.Target().ID), "_", " "))
}

func messageWords(e *Event) string {
	return form(" “%s”", strings.ReplaceAll(text(detail(e, "message")), "_", " "))
}

func languagesWords(e *Event) string {
	var out []string
	for _, c := range e.Changes {
		if rest, ok := strings.CutPrefix(c.Field, "texts."); ok {
			language, _, _ := strings.Cut(rest, ".")
			if name := map[string]string{"en": "English", "de": "German", "fr": "French", "es": "Spanish"}[language]; name != "" && (len(out) == 0 || out[len(out)-1] != name) {
				out = append(out, name)
			}
		}
	}
	return form(" in %s", listed(out))
}
