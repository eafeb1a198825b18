package api_test

import (
	"strings"
	"testing"

	"perennial/internal/team"
)

// What is masked for a key it gets by no way round: not by a link into the Portal, not by an e-mail address of its own in place of
// the customer's, to which a code would be sent, and not by the copy of the customer's data.
func TestAMaskedKeyHasNoWayRound(t *testing.T) {
	s := openShop(t)
	ada := "/customers/" + string(s.customer("ada@example.com"))
	request := s.do("POST", ada+"/data-request", nil).want(202).text("data.id")
	have := []team.Permission{team.CustomersView, team.CustomersEdit, team.PersonalDataEdit}
	masked := s.with(s.key(have...))
	for _, tt := range []struct {
		method, path string
		body         any
	}{
		{"POST", ada + "/portal-link", nil}, {"POST", ada + "/portal-link", fields{"mail": true}},
		{"PATCH", ada, fields{"email": "eve@example.com"}}, {"GET", ada + "/data-request/" + request, nil},
	} {
		a := masked.do(tt.method, tt.path, tt.body).refused(403, "forbidden")
		if strings.Contains(string(a.Body), "ada@example.com") || !strings.Contains(a.text("detail"), string(team.PersonalDataView)) {
			t.Errorf("%s: %s", a.request, a.Body)
		}
	}
	if got := s.do("GET", ada, nil).want(200).text("data.email"); got != "ada@example.com" {
		t.Errorf("the e-mail address is %s", got)
	}
	masked.do("PATCH", ada, fields{"locale": "de"}).want(200).shows(map[string]any{"data.email": "•••"})
	open := s.with(s.key(append(have, team.PersonalDataView)...))
	open.do("POST", ada+"/portal-link", nil).want(201)
	open.do("PATCH", ada, fields{"email": "ada@example.org"}).want(200)
	open.do("GET", ada+"/data-request/"+request, nil).want(200)
	if n := len(s.do("GET", "/events?type=customer.magic_link_created", nil).want(200).list("data")); n != 1 {
		t.Errorf("%d links were made, want 1", n)
	}
}
