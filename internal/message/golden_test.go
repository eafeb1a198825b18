package message_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"perennial/internal/message"
)

var update = flag.Bool("update", false, "rewrite testdata")

// TestGolden compares what is sent with testdata: the text part of every message, a file for each language, and the HTML part of some. Run it
// with -update after changing a text, and read the diff as its reader would.
func TestGolden(t *testing.T) {
	html := map[message.Name]bool{message.LoginCode: true, message.OrderUpcoming: true, message.PaymentFailed: true}
	for _, language := range message.Languages {
		var texts strings.Builder
		for _, k := range message.Kinds {
			m, err := message.Render(message.Says(k.Name, nil, language), "Harbor", message.Sample("Harbor"))
			if err != nil {
				t.Fatal(err)
			}
			texts.WriteString("== " + string(k.Name) + "\n" + m.Subject + "\n\n" + m.Text + "\n")
			if language == "en" && html[k.Name] {
				golden(t, string(k.Name)+".html", m.HTML)
			}
		}
		golden(t, language+".txt", texts.String())
	}
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	at := filepath.Join("testdata", file)
	if *update {
		if err := os.WriteFile(at, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(at)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", at, diff)
	}
}
