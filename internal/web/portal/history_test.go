package portal

import (
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"perennial/internal/journal"
	"perennial/internal/web/ui/lang"
)

// TestTheSentenceOfAGift says in every language which order became a gift; entries of the time before that was told have a sentence too.
func TestTheSentenceOfAGift(t *testing.T) {
	for language, want := range map[string][3]string{
		"en": {"Made the order of 3 April 2027 a gift", "Undone: Made the order of 3 April 2027 a gift", "Made an order a gift"},
		"de": {"Bestellung vom 3. April 2027 verschenkt", "Rückgängig gemacht: Bestellung vom 3. April 2027 verschenkt", "Bestellung verschenkt"},
		"fr": {"Commande du 3 avril 2027 offerte", "Retour en arrière\u00a0: Commande du 3 avril 2027 offerte", "Commande offerte"},
		"es": {"Pedido del 3 de abril de 2027 regalado", "Cambio deshecho: Pedido del 3 de abril de 2027 regalado", "Pedido regalado"},
	} {
		c := &call{ctx: lang.With(t.Context(), catalogue().Printer(language, language))}
		dated := journal.Event{Type: "subscription.order_gifted", Details: []journal.Detail{{Name: "date", Value: jsontext.Value(`"2027-04-03"`)}}}
		undone := dated
		undone.Corrects = "evt_x"
		old := journal.Event{Type: dated.Type}
		if got := [3]string{c.sentence(&dated), c.sentence(&undone), c.sentence(&old)}; got != want {
			t.Errorf("%s: got %q, want %q", language, got, want)
		}
	}
}
