package message

import (
	"embed"
	"fmt"
	"strings"
	"sync"
)

//go:embed texts
var files embed.FS

// defaults are the program's own texts, by language and message: a file each, in which "== name" begins a message and its next line is the
// subject.
var defaults = sync.OnceValue(func() map[string]map[Name]Text {
	out := map[string]map[Name]Text{}
	for _, language := range Languages {
		b, err := files.ReadFile("texts/" + language + ".md")
		if err != nil {
			panic(err) // the files are embedded
		}
		out[language] = map[Name]Text{}
		for _, part := range strings.Split("\n"+string(b), "\n== ")[1:] {
			name, rest, _ := strings.Cut(part, "\n")
			subject, body, ok := strings.Cut(rest, "\n")
			if _, known := Of(Name(name)); !known || !ok {
				panic(fmt.Sprintf("message: texts/%s.md: %q", language, name))
			}
			out[language][Name(name)] = Text{language, subject, strings.TrimSpace(body)}
		}
	}
	return out
})
