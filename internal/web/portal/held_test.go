package portal

import (
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"perennial/internal/find/findtest"
	"perennial/internal/gate"
	"perennial/internal/journal"
	"perennial/internal/subscription"
)

// A subscriber sees what the index hides, and that it did, in their own language.
func TestAHiddenEntryIsInTheHistory(t *testing.T) {
	w := newWorld(t)
	v := w.signIn("ada@example.com")
	pause := w.Do(journal.Bind(subscription.Pause{ID: w.hers})).Events[0].Seq
	w.Do(journal.Bind(subscription.ChangeNote{ID: w.hers, Note: "Called."}))
	whole := map[string][2]string{"en": {"Paused the subscription", "is missing"}, "de": {"Abonnement pausiert", "geprüft"}, "fr": {"mis en pause", "Vérifié"}, "es": {"Suscripción en pausa", "Comprobado"}}
	for language, want := range whole {
		v.post("/portal/language", "language", language, "back", "/portal/history")
		for _, text := range want {
			if body := v.get("/portal/history").body; !strings.Contains(body, text) {
				t.Errorf("%s: the history has no %q:\n%s", language, text, body)
			}
		}
	}
	w.p.Finder = findtest.HideFrom(t, w.p.Finder, w.Store, w.Dir, pause)
	for language, want := range map[string]string{"en": "The store’s index had lost", "de": "Im Index des Shops fehlten", "fr": "manquaient dans l’index", "es": "En el índice de la tienda faltaban"} {
		v.post("/portal/language", "language", language, "back", "/portal/history")
		for _, path := range []string{"/portal/history", "/portal/subscriptions/" + string(w.hers)} {
			if body := v.get(path).body; !strings.Contains(body, whole[language][0]) || !strings.Contains(body, want) {
				t.Errorf("%s %s: it shows the entry: %v, and does not say %q", language, path, strings.Contains(body, whole[language][0]), want)
			}
		}
	}
}

// In an old copy of the database nobody changes a subscription; a subscriber hears it in their language, and nothing of the server.
func TestNothingIsChangedInAnOldCopy(t *testing.T) {
	w := newWorld(t)
	v := w.signIn("ada@example.com")
	at := "/portal/subscriptions/" + string(w.hers)
	was := w.subscription(w.hers)
	g := gate.New(slog.New(slog.DiscardHandler), w.Program.Now)
	w.Program.Guard(g)
	g.Raise(gate.Reason{Code: gate.DatabaseBehind, Holds: gate.All | gate.Plan, Sentence: "Run perennial accept-restore."})
	for language, want := range map[string]string{"en": "Nothing was changed", "de": "Es wurde nichts geändert", "fr": "Rien n’a été modifié", "es": "No se ha cambiado nada"} {
		v.post("/portal/language", "language", language, "back", "/portal")
		s := v.send(http.MethodPost, at+"/skip", values([]string{"date", was.NextBillingDate.String()}))
		if s.status != http.StatusServiceUnavailable || !strings.Contains(s.body, want) || strings.Contains(s.body, "accept-restore") {
			t.Errorf("%s: %d\n%s", language, s.status, s.body)
		}
	}
	if now := w.subscription(w.hers); *now.NextBillingDate != *was.NextBillingDate {
		t.Error("the order was skipped")
	}
	g.Clear(gate.DatabaseBehind)
	w.want(v.send(http.MethodPost, at+"/skip", values([]string{"date", was.NextBillingDate.String()})), 200, at)
}
