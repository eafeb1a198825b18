package server

import (
	"context"
	"crypto/rand"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"perennial/internal/billing"
	"perennial/internal/fault"
	"perennial/internal/gate"
	"perennial/internal/journal"
	"perennial/internal/observe"
	"perennial/internal/payment/simulated"
	"perennial/internal/program"
	"perennial/internal/subscription"
	"perennial/internal/web/ui"
)

// visitor is a browser of the Dashboard.
type visitor struct{ http.Client }

func (v *visitor) send(t testing.TB, method, address string, form url.Values) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	res, err := v.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%s %s: %d, %v\n%s", method, address, res.StatusCode, err, body)
	}
	return string(body)
}

const ownerPassword = "four words in a row"

// owner signs in, as the first of the team when there is none.
func owner(t testing.TB, s *Server) *visitor {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	v := &visitor{http.Client{Jar: jar, Transport: &http.Transport{DisableKeepAlives: true}}}
	form := url.Values{"email": {"olga@example.com"}, "password": {ownerPassword}, ui.Number: {rand.Text()}}
	link, err := s.Dashboard.SetupLink(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if link == "" {
		link = "http://" + s.Addr + "/signin"
	} else {
		form.Set("name", "Olga")
	}
	v.send(t, http.MethodPost, link, form)
	return v
}

// From end to end, over the server: a backup, a renewal with its message, the backup put back. Nobody is charged or written to, and Home says
// why. After the operator's word the order that was made again is paid with the charge of then, and nobody is charged.
func TestARestoreFromEndToEnd(t *testing.T) {
	c, _ := onEngine(t)
	c.MailDir = t.TempDir()
	gateway := simulated.New(time.Now, simulated.Options{})
	lives := func(c Config, do func(s *Server)) {
		t.Helper()
		s, err := Start(t.Context(), open(t, c), gateway, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		do(s)
		if err := s.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	}
	mails := func() int {
		t.Helper()
		files, err := filepath.Glob(filepath.Join(c.MailDir, "*"))
		if err != nil {
			t.Fatal(err)
		}
		return len(files)
	}
	i := open(t, c)
	found(t, i)
	if err := i.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	lives(c, func(s *Server) {
		if home := owner(t, s).send(t, http.MethodGet, "http://"+s.Addr+"/", nil); strings.Contains(home, "Nothing is charged") {
			t.Error("something is held up before there was a restore")
		}
	})
	i = open(t, c)
	dueToday(t, i)
	if err := i.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	old, _ := copied(t, c)
	old.MailDir = c.MailDir

	lives(c, func(s *Server) {
		for charges(gateway) == 0 || mails() == 0 {
			if t.Context().Err() != nil {
				t.Fatalf("%d charges, %d messages", charges(gateway), mails())
			}
			get(t, "http://"+s.Addr+"/healthz")
		}
	})
	taken, sent := charges(gateway), mails()
	lives(old, func(s *Server) {
		billed(t, s)
		if code, body, _ := get(t, "http://"+s.Addr+"/readyz"); code != http.StatusServiceUnavailable || !strings.Contains(body, "database_behind: The database holds") {
			t.Errorf("readyz: %d %s", code, body)
		}
		home := owner(t, s).send(t, http.MethodGet, "http://"+s.Addr+"/", nil)
		for _, want := range []string{"Nothing is charged, sent or erased now", "it was restored from an older copy", "perennial accept-restore", "database_behind, since"} {
			if !strings.Contains(home, want) {
				t.Errorf("Home does not say %q", want)
			}
		}
		// What is changed now would make other orders than those that were charged after the copy, under other keys: charged again.
		rows, err := s.Store.List(t.Context(), s.Store.Read, journal.Subscription, `TRUE ORDER BY id`)
		if err != nil || len(rows) == 0 {
			t.Fatal(len(rows), err)
		}
		_, err = s.Program.Do(t.Context(), &program.Request{Meta: setup, Command: journal.Bind(subscription.Pause{ID: rows[0].State.Ref().ID})})
		if err == nil || fault.As(err).Code != gate.DatabaseBehind || !strings.Contains(fault.As(err).Public, "no subscription can be changed") {
			t.Errorf("a subscription of an old copy is changed: %v", err)
		}
	})
	if charges(gateway) != taken || mails() != sent || taken != 1 {
		t.Errorf("%d charges and %d messages, %d and %d before the restore", charges(gateway), mails(), taken, sent)
	}
	i = open(t, old)
	if _, err := i.AcceptRestore(t.Context(), observe.Operator{By: "mara", Because: "the disk is gone"}); err != nil {
		t.Fatal(err)
	}
	if err := i.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	lives(old, func(s *Server) {
		paid := func() (n int) {
			t.Helper()
			rows, err := s.Store.List(t.Context(), s.Store.Read, journal.Order, `status = 'placed' ORDER BY id`)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range rows {
				if o := r.State.(*billing.Order); billing.Paid(o) == o.Total {
					n++
				}
			}
			return n
		}
		for paid() == 0 && t.Context().Err() == nil {
			get(t, "http://"+s.Addr+"/healthz")
		}
		if home := owner(t, s).send(t, http.MethodGet, "http://"+s.Addr+"/", nil); strings.Contains(home, "Nothing is charged") {
			t.Error("Home still says that something is held up")
		}
	})
	if n := charges(gateway); n != 1 {
		t.Errorf("%d charges for one order of the rhythm", n)
	}
}
