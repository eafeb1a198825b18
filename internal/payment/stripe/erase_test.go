package stripe_test

import (
	"errors"
	"maps"
	"slices"
	"testing"

	"perennial/internal/payment"
)

var gone = map[string]any{"type": "invalid_request_error", "code": "resource_missing", "param": "id", "message": "No such customer: 'cus_1'"}

func TestEraseCustomer(t *testing.T) {
	of := func(metadata map[string]any) answer { return with(map[string]any{"id": "cus_1", "metadata": metadata}) }
	forbidden := fails(403, map[string]any{"type": "invalid_request_error", "message": "The provided key does not have the required permissions."})
	for name, tt := range map[string]struct {
		answers map[string]answer
		erasure payment.Erasure
		deleted []string // at Stripe
		left    []string // cards that were detached
		n       int
		ours    bool // the error
	}{
		"by its cards":     {deleted: []string{"cus_1", "cus_2"}, n: 2, erasure: payment.Erasure{References: []string{"cus_1/pm_1", "cus_1/pm_2", "cus_2/pm_3", "sim_ok"}}},
		"by its name":      {deleted: []string{"cus_9"}, n: 1, answers: map[string]answer{"GET /v1/customers/search": list(map[string]any{"object": "customer", "id": "cus_9", "metadata": map[string]any{"perennial_customer": "cus_ours"}})}},
		"found twice":      {deleted: []string{"cus_1"}, n: 1, erasure: payment.Erasure{References: []string{"cus_1/pm_1"}}, answers: map[string]answer{"GET /v1/customers/search": list(map[string]any{"object": "customer", "id": "cus_1", "metadata": map[string]any{"perennial_customer": "cus_ours"}})}},
		"shared":           {left: []string{"pm_1"}, erasure: payment.Erasure{Shared: []string{"cus_1/pm_1"}}},
		"another customer": {left: []string{"pm_1"}, erasure: payment.Erasure{References: []string{"cus_1/pm_1"}}, answers: map[string]answer{"GET /v1/customers/cus_1": of(map[string]any{"perennial_customer": "cus_other"})}},
		"deleted already": {erasure: payment.Erasure{References: []string{"cus_1/pm_1"}}, answers: map[string]answer{"GET /v1/customers/cus_1": func(map[string]any) (int, any) {
			return 200, map[string]any{"id": "cus_1", "object": "customer", "deleted": true}
		}}},
		"unknown":          {erasure: payment.Erasure{References: []string{"cus_1/pm_1"}}, answers: map[string]answer{"GET /v1/customers/cus_1": fails(404, gone)}},
		"gone in between":  {deleted: []string{"cus_1"}, erasure: payment.Erasure{References: []string{"cus_1/pm_1"}}, answers: map[string]answer{"DELETE /v1/customers/cus_1": fails(404, gone)}},
		"no search":        {deleted: []string{"cus_1"}, n: 1, erasure: payment.Erasure{References: []string{"cus_1/pm_1"}}, answers: map[string]answer{"GET /v1/customers/search": fails(400, map[string]any{"type": "invalid_request_error", "message": "Search is not available."})}},
		"no permission":    {erasure: payment.Erasure{References: []string{"cus_1/pm_1"}}, answers: map[string]answer{"GET /v1/customers/cus_1": forbidden}, ours: true},
		"may not delete":   {deleted: []string{"cus_1"}, erasure: payment.Erasure{References: []string{"cus_1/pm_1"}}, answers: map[string]answer{"DELETE /v1/customers/cus_1": forbidden}, ours: true},
		"a card of nobody": {left: []string{"pm_1"}, erasure: payment.Erasure{Shared: []string{"cus_1/pm_1"}}, answers: map[string]answer{"POST /v1/payment_methods/pm_1/detach": fails(400, map[string]any{"type": "invalid_request_error", "message": "The payment method you provided is not attached to a customer so detachment is impossible."})}},
	} {
		t.Run(name, func(t *testing.T) {
			answers := map[string]answer{"GET /v1/customers/search": list()}
			for _, c := range []string{"cus_1", "cus_2", "cus_9"} {
				answers["GET /v1/customers/"+c] = with(map[string]any{"id": c, "metadata": map[string]any{}})
			}
			maps.Copy(answers, tt.answers)
			s := at(t, answers)
			tt.erasure.CustomerID = "cus_ours"
			n, err := s.EraseCustomer(t.Context(), tt.erasure)
			ours, _ := errors.AsType[*payment.Ours](err)
			if n != tt.n || (ours != nil) != tt.ours || err != nil && !tt.ours {
				t.Errorf("got %d, %v", n, err)
			}
			var deleted, left []string
			for _, c := range s.calls {
				switch method, id := c.Route[:4], c.Route[len(c.Route)-5:]; {
				case method == "DELE":
					deleted = append(deleted, id)
				case method == "POST":
					left = append(left, c.Route[len("POST /v1/payment_methods/"):len(c.Route)-len("/detach")])
				}
			}
			if !slices.Equal(deleted, tt.deleted) || !slices.Equal(left, tt.left) {
				t.Errorf("deleted %v, detached %v", deleted, left)
			}
		})
	}
}
