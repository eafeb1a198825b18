package api_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"perennial/verify"
)

func TestReceipts(t *testing.T) {
	s := openStocked(t)
	key := string(s.do("GET", "/log-key", nil).want(200).Body)
	pause := s.pause()
	for range 2 {
		a := s.do("GET", "/events/"+string(pause)+"/receipt", nil).want(200)
		r, err := verify.ParseReceipt(a.Body)
		must(t, err)
		e, err := r.Check(key)
		if err != nil || e.ID != string(pause) {
			t.Errorf("the receipt gives %s, %v", e.ID, err)
		}
		r.Event[10] ^= 1
		if _, err := r.Check(key); err == nil {
			t.Error("a receipt with a flipped bit holds")
		}
		s.shop.product("Later")
	}
	s.do("GET", "/events/evt_x/receipt", nil).want(404)
}

func TestCheckpointsAndProofs(t *testing.T) {
	s := openShop(t)
	key := string(s.do("GET", "/log-key", nil).want(200).Body)
	open := func() verify.Checkpoint {
		c, err := verify.OpenCheckpoint(s.do("GET", "/checkpoint", nil).want(200).Body, key)
		must(t, err)
		return c
	}
	older := open()
	if older != open() {
		t.Error("the head did not move and a new checkpoint was made")
	}
	for n := range 20 {
		s.product(fmt.Sprint("Coffee ", n))
		open()
	}
	newer := open()
	if newer.Size != s.Program.Head()+1 {
		t.Errorf("the checkpoint is over %d events of %d", newer.Size, s.Program.Head()+1)
	}
	a := s.do("GET", fmt.Sprintf("/proofs/consistency?from=%d&to=%d", older.Size, newer.Size), nil).want(200)
	if err := verify.CheckConsistency(older, newer, hashes(t, a)); err != nil {
		t.Error(err)
	}
	if s.do("GET", fmt.Sprintf("/proofs/consistency?from=%d&to=%d", newer.Size, newer.Size), nil).want(200).at("hashes") == nil {
		t.Error("an empty proof is null")
	}
	in := s.do("GET", fmt.Sprintf("/proofs/inclusion?seq=3&size=%d", newer.Size), nil).want(200)
	if in.number("seq") != 3 || in.number("size") != newer.Size || len(hashes(t, in)) == 0 {
		t.Errorf("inclusion: %s", in.Body)
	}
	var sizes []int64
	for cursor := ""; ; {
		a := s.do("GET", "/checkpoints?limit=10"+cursor, nil).want(200)
		for i := range a.list("data") {
			sizes = append(sizes, a.number(fmt.Sprintf("data.%d.size", i)))
			if _, err := verify.OpenCheckpoint([]byte(a.text(fmt.Sprintf("data.%d.note", i))), key); err != nil {
				t.Error(err)
			}
		}
		next, more := a.at("next_cursor").(string)
		if !more {
			break
		}
		cursor = "&cursor=" + next
	}
	if len(sizes) != 21 || sizes[0] != newer.Size || sizes[20] != older.Size {
		t.Errorf("checkpoints of the sizes %v", sizes)
	}
	for _, path := range []string{"/proofs/consistency?from=0", "/proofs/consistency?from=0&to=5"} { // where a witness begins
		if a := s.do("GET", path, nil).want(200); len(a.list("hashes")) != 0 || a.number("from") != 0 {
			t.Errorf("%s: %s", path, a.Body)
		}
	}
	for _, path := range []string{"/proofs/inclusion?seq=99999&size=5", "/proofs/inclusion?seq=5&size=5", "/proofs/inclusion?seq=1&size=99999", "/proofs/inclusion",
		"/proofs/inclusion?seq=-1&size=5", "/proofs/consistency?from=-1&to=5", "/proofs/consistency?from=6&to=5", "/proofs/consistency?from=1&to=99999"} {
		if a := s.do("GET", path, nil).want(422); !strings.HasPrefix(a.text("errors.0.pointer"), "/query/") {
			t.Errorf("%s: %s", path, a.Body)
		}
	}
}

func hashes(t *testing.T, a *answer) [][32]byte {
	t.Helper()
	var out [][32]byte
	for _, h := range a.list("hashes") {
		b, err := base64.StdEncoding.DecodeString(h.(string))
		must(t, err)
		out = append(out, [32]byte(b))
	}
	return out
}
