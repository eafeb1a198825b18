package journal

import "github.com/go-json-experiment/json"

// cancelSentences are those of cancel flows and of what subscribers do in them.
var cancelSentences = map[Name]sentence{
	CancelFlowCreated: {did: func(e *Event) string { return "Created the cancel flow" + called(e, "name") }},
	CancelFlowUpdated: edits("the cancel flow", of, "name", "deletion"),
	CancelFlowDeleted: says("Deleted the cancel flow"),
	CancelFlowSettingsUpdated: {did: switched("Switched the cancel flows on", "Switched the cancel flows off", "Changed the cancel flow settings"),
		undid: switched("Undid the switching off of the cancel flows", "Undid the switching on of the cancel flows", "Undid the change of the cancel flow settings")},
	CancelReasonCreated: {did: func(e *Event) string {
		return "Added the reason to cancel" + form(` “%s”`, text(afterOf(e, "label")))
	}},
	CancelReasonUpdated: edits("the reason to cancel", of, "label", "deletion"),
	CancelReasonDeleted: says("Deleted the reason to cancel"),

	CancelSessionStarted: {did: func(e *Event) string { return "Asked to cancel" + form(", in the flow %s", text(detail(e, "flow"))) }},
	CancelSessionOfferShown: {did: func(e *Event) string {
		return "Wanted to cancel: " + reasonWords(e, "no reason given") + offered(e)
	}},
	CancelSessionOfferAccepted: {did: func(e *Event) string {
		return "Accepted " + offerWords[text(afterOf(e, "accepted"))] + form(" instead of cancelling: %s", reasonWords(e, ""))
	}},
	CancelSessionAbandoned: {did: func(e *Event) string {
		return "Kept the subscription" + form(" after asking to cancel: %s", reasonWords(e, ""))
	}},
	CancelSessionCompleted: {did: func(e *Event) string { return "Cancelled after all: " + reasonWords(e, "no reason given") }},
}

// switched is either, for a change of nothing else.
func switched(on, off, more string) func(*Event) string {
	return func(e *Event) string {
		if len(e.Changes) == 1 {
			if s := either("enabled", on, off)(e); s != "" {
				return s
			}
		}
		return more + form(": %s", listed(fieldNames(e)))
	}
}

// offerWords are the kinds of offer, as a sentence has them.
var offerWords = map[string]string{
	"skip": "to skip the next order", "pause": "a pause", "swap": "another product", "frequency": "another frequency",
	"discount": "a discount", "gift": "a gift", "talk": "to talk to the store",
}

func reasonWords(e *Event, none string) string {
	if s := text(detail(e, "reason")); s != "" {
		return "“" + s + "”"
	}
	return none
}

func offered(e *Event) string {
	var kinds, words []string
	if json.Unmarshal(afterOf(e, "shown"), &kinds) != nil {
		return ""
	}
	for _, kind := range kinds {
		if w := offerWords[kind]; w != "" {
			words = append(words, w)
		}
	}
	return form("; was offered %s", listed(words))
}
