package subscription

import (
	"strings"
	"testing"

	"perennial/internal/civil"
	"perennial/internal/journal"
)

var recipient = GiftAddress{FirstName: "Ada", Line1: "1 Main Street", City: "Springfield", Country: "US"}

func gift(d string) journal.Command {
	return journal.Bind(GiftOrder{ID: "sub_1", Date: date(d), Address: recipient, Message: "For you\nfrom me"})
}

func (s *shop) giftDates() (out []string) {
	for _, g := range s.sub("sub_1").Gifts.Value {
		out = append(out, g.Date.String())
	}
	return out
}

func TestGifts(t *testing.T) {
	s := started(t, "2027-01-31")
	s.day = date("2027-01-31")
	equal(t, "types", s.do(gift("2027-02-28")), []string{"subscription.order_gifted"})
	s.do(gift("2027-01-31"))
	equal(t, "the same again is nothing", s.do(gift("2027-01-31")), nil)
	equal(t, "gifts", s.giftDates(), []string{"2027-01-31", "2027-02-28"})
	s.bill("sub_1")
	equal(t, "the used one is gone", s.giftDates(), []string{"2027-02-28"})
	s.do(move("2027-03-10"))
	equal(t, "a moved order keeps its gift", s.giftDates(), []string{"2027-03-10"})
	s.do(skip(nil))
	equal(t, "of a skipped order it waits", s.giftDates(), []string{"2027-03-10"})
	s.bill("sub_1")
	equal(t, "and goes with the next one", s.giftDates(), nil)
}

func TestGiftsRefused(t *testing.T) {
	s := started(t, "2027-01-31")
	s.do(skip(dateP("2027-02-28")))
	equal(t, "no order", s.refused(gift("2027-02-27")), []string{"not_scheduled"})
	equal(t, "a skipped order", s.refused(gift("2027-02-28")), []string{"order_skipped"})
	equal(t, "fields", s.refused(journal.Bind(GiftOrder{ID: "sub_1", Address: GiftAddress{City: "\x07", Country: "FR"}, Message: strings.Repeat("x", 501)})),
		[]string{"/date", "/address/city", "/address/last_name", "/address/line1", "/address/country", "/message"})
	equal(t, "more fields", s.refused(journal.Bind(GiftOrder{ID: "sub_1", Date: date("2027-01-31"), Address: GiftAddress{Company: "ACME", Line1: "1", Country: "?"}})),
		[]string{"/address/city", "/address/country"})
	s.do(every(civil.Day, 1))
	for i := range MaxGifts {
		s.do(gift(date("2027-01-31").AddDays(i).String()))
	}
	equal(t, "too many", s.refused(gift("2027-03-01")), []string{"too_many_gifts"})
}

func TestNotes(t *testing.T) {
	s := started(t, "2027-01-31")
	equal(t, "note", s.do(journal.Bind(ChangeNote{ID: "sub_1", Note: "ring\ntwice"})), []string{"subscription.note_changed"})
	equal(t, "same note", s.do(journal.Bind(ChangeNote{ID: "sub_1", Note: "ring\ntwice"})), nil)
	equal(t, "attributes", s.do(journal.Bind(ChangeAttributes{ID: "sub_1", Attributes: map[string]string{"a": "1"}})), []string{"subscription.attributes_changed"})
	equal(t, "no attributes", s.do(journal.Bind(ChangeAttributes{ID: "sub_1", Attributes: map[string]string{}})), []string{"subscription.attributes_changed"})
	equal(t, "still none", s.do(journal.Bind(ChangeAttributes{ID: "sub_1"})), nil)
	equal(t, "long note", s.refused(journal.Bind(ChangeNote{ID: "sub_1", Note: strings.Repeat("x", 2001)})), []string{"/note"})
	many := map[string]string{}
	for i := range 51 {
		many[strings.Repeat("x", i)] = ""
	}
	equal(t, "many attributes", s.refused(journal.Bind(ChangeAttributes{ID: "sub_1", Attributes: many})), []string{"/attributes"})
	equal(t, "wrong attributes", s.refused(journal.Bind(ChangeAttributes{ID: "sub_1", Attributes: map[string]string{"": "x", "a~/b": "\x00", strings.Repeat("n", 41): "v"}})),
		[]string{"/attributes/", "/attributes/a~0~1b", "/attributes/" + strings.Repeat("n", 41)})
}
