package dashboard

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"perennial/internal/auth"
	"perennial/internal/customer"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/mail"
	"perennial/internal/notify"
)

// TestLinksByMail has the links that let people in mailed to them: they are on their way with the entry, and shown to nobody else.
func TestLinksByMail(t *testing.T) {
	w, b, _ := owned(t, auth.ProviderConfig{})
	who := w.IDs.New(id.Customer)
	w.Do(journal.Bind(customer.Create{ID: who, Email: "ada@example.com", FirstName: "Ada"}))
	at := "/customers/" + string(who)
	if s := b.get(at); strings.Contains(s.body, "Mail a portal link") {
		t.Error("a link can be mailed where no messages are sent")
	}
	w.want(b.post(at+"/portal-link", "mail", "1"), 200, at+"/portal-link", "works once")
	folder := &mail.Folder{Dir: t.TempDir(), Clock: w.clock}
	w.d.Mail = folder
	letters := notify.New(notify.Config{Program: w.Program, Store: w.Store, Mail: folder, Log: slog.New(slog.DiscardHandler), Portal: "https://shop.example/portal"})
	send := func(to, words string) {
		t.Helper()
		if err := letters.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		files, err := filepath.Glob(filepath.Join(folder.Dir, "*.eml"))
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for _, f := range files {
			raw, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			text := strings.ReplaceAll(string(raw), "=\r\n", "")
			switch {
			case !found && strings.Contains(text, "To: <"+to+">") && strings.Contains(text, words):
				found = true
			case strings.Contains(text, "Subject: Your account at"): // who invites somebody is told so
			default:
				t.Errorf("an unexpected mail:\n%s", raw)
			}
			if err := os.Remove(f); err != nil {
				t.Fatal(err)
			}
		}
		if !found {
			t.Errorf("no mail to %s that says %q among %d", to, words, len(files))
		}
	}
	w.want(b.get(at), 200, at, "Mail a portal link")
	s := w.want(b.post(at+"/portal-link", "mail", "1"), 200, at, "on its way to the customer")
	if strings.Contains(s.body, "/portal/link/") {
		t.Error("the link is shown too")
	}
	send("ada@example.com", "/portal/link/")
	w.want(b.post("/team/invite", "email", "ben@example.com", "name", "Ben", "role", "member"), 200, "/team/invite", "by e-mail too")
	send("ben@example.com", "Olga")
}
