package notify

import (
	"regexp"
	"testing"

	"perennial/internal/message"
)

// TestWords holds the languages against each other.
func TestWords(t *testing.T) {
	if err := words().Check(); err != nil {
		t.Error(err)
	}
}

// TestFrenchBlanks looks for an ordinary blank where French wants one at which no line breaks.
func TestFrenchBlanks(t *testing.T) {
	loose := regexp.MustCompile(` [:;?!»]|« |[^ \x{a0}][;?!»]`)
	texts := map[string]string{}
	for _, k := range message.Kinds {
		x := message.Says(k.Name, nil, "fr")
		texts[string(k.Name)] = x.Subject + "\n" + x.Body
	}
	said := words().Printer("fr", "fr-FR")
	for _, key := range words().Keys() {
		if v, ok := words().Variables(key); ok && len(v) == 0 {
			texts[key] = said.Say(key)
		}
	}
	for name, text := range texts {
		if at := loose.FindString(text); at != "" {
			t.Errorf("%s: %q in %q", name, at, text)
		}
	}
}
