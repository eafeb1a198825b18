package portal

import (
	"cmp"

	"perennial/internal/fault"
)

// refusal says a failure in the reader's language.
func (c *call) refusal(f *fault.Error) string {
	if f.Code == "fields_refused" {
		return c.say("frame.look_again")
	}
	words := c.because(f.Code, f.Args)
	if words == "" && f.Kind == fault.Unavailable { // its sentence is for those who run the server
		words = c.say("failed.not_now")
	}
	return cmp.Or(words, f.Public)
}

// wrong says what is wrong with a field.
func (c *call) wrong(f fault.Field) string { return cmp.Or(c.because(f.Code, f.Args), f.Detail) }

// because says a code with its arguments; nothing where the Portal has no words for it, and the English sentence has to do.
func (c *call) because(code string, args fault.Args) string {
	key := "refusal." + code
	if !c.words().Knows(key) {
		return ""
	}
	return c.say(key, args.Pairs()...)
}
