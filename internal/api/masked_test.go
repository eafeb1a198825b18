package api_test

import (
	"strings"
	"testing"

	"perennial/internal/id"
	"perennial/internal/journal"
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

// An answer that is kept with an Idempotency-Key shows no more than its caller may see when it is given again.
func TestKeptAnswersAreMaskedToo(t *testing.T) {
	s := openShop(t)
	all := []team.Permission{team.CustomersView, team.CustomersEdit, team.ProductsEdit, team.PersonalDataView}
	token := s.key(all...)
	key := id.ID(token[:strings.LastIndexByte(token, '_')])
	k := s.with(token)
	now := func(list ...team.Permission) {
		s.run(journal.Bind(team.UpdateKey{ID: key, Permissions: &list, Actor: system.Actor}))
	}
	customer := func() *answer {
		return k.do("POST", "/customers", fields{"email": "ada@example.com", "first_name": "Ada"}, "Idempotency-Key: c1")
	}
	product := func() *answer { return k.do("POST", "/products", fields{"title": "Tea"}, "Idempotency-Key: p1") }
	first, tea := customer().want(201), product().want(201)
	if again := customer().want(201); string(again.Body) != string(first.Body) {
		t.Errorf("the answer again: %s", again.Body)
	}
	now(team.CustomersView, team.CustomersEdit, team.ProductsEdit)
	if a := customer().refused(403, "forbidden"); strings.Contains(string(a.Body), "ada@") || !strings.Contains(a.text("detail"), "personal_data.view") {
		t.Errorf("a key that may not see it any more: %s", a.Body)
	}
	if again := product().want(201); string(again.Body) != string(tea.Body) { // nothing personal is in it
		t.Errorf("the answer again: %s", again.Body)
	}
	now(all...)
	customer().want(201)
	// What the route takes is asked again too, also under the head.
	now(team.CustomersView, team.PersonalDataView)
	customer().refused(403, "forbidden")
	s.run(journal.Bind(team.RevokeKey{ID: key}))
	customer().want(401)
}
