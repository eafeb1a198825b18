package dashboard

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/store"
	"perennial/internal/team"
	"perennial/internal/web/ui"
)

// What outlasts a session (a passkey, a key of the API, somebody else's rights) is not for whoever finds one open: it takes the password
// again, or a sign-in of the last minutes. So does whatever a route marks with confirm.

const (
	confirmedCookie = "perennial_confirmed" // until when a session need not show again who it is
	confirmedFor    = 10 * time.Minute
	provedWithin    = 5 * time.Minute // ago, at the identity provider
)

// confirmation says of which session it was shown who it is. It expires with its cookie's seal.
type confirmation struct {
	Session id.ID `json:"session"`
}

func (c *call) confirm(session id.ID) error {
	return c.keep(confirmedCookie, confirmation{session}, confirmedFor)
}

func (c *call) confirmed() bool {
	var k confirmation
	return c.session != "" && c.kept(confirmedCookie, &k) && k.Session == c.session
}

// confirmView is the page that asks who it is.
type confirmView struct {
	At, Next       string // where the form goes; where one goes after signing in again
	Sent           []sentField
	Email          string
	Problem, Wrong string
	Password       bool
	Passkeys       bool
	Provider       string
}

type sentField struct{ Name, Value string }

func (d *Dashboard) registerConfirm() {
	d.on(route{pattern: "GET /account/confirm", who: signedIn}, func(c *call) (answer, error) { return c.confirmPage("") })
	d.on(route{pattern: "POST /account/confirm", who: signedIn}, func(c *call) (answer, error) {
		if err := c.reauthenticate(); err != nil {
			return c.confirmAgain(err)
		}
		return goTo(inside(c.r.FormValue("next"))), c.confirm(c.session)
	})
}

// held says that a route wants to know once more who it is, and with which page. A form that brings the right password goes on.
func (c *call) held() (answer, bool, error) {
	if !c.route.confirm || c.confirmed() {
		return answer{}, false, nil
	}
	if c.r.PostForm.Has("current") {
		err := c.reauthenticate()
		if err == nil {
			return answer{}, false, c.confirm(c.session)
		}
		a, err := c.confirmAgain(err)
		return a, true, err
	}
	a, err := c.confirmPage("")
	return a, true, err
}

func (c *call) confirmAgain(err error) (answer, error) {
	f := fault.As(err)
	if f.Kind != fault.Refused {
		return answer{}, err
	}
	words := f.Public
	for _, field := range f.Fields {
		words = field.Detail
	}
	return c.confirmPage(words)
}

func (c *call) confirmPage(wrong string) (answer, error) {
	stored, err := c.Store.Secret(c.ctx, c.Store.Read, c.member.Ref(), team.SecretPassword)
	if err != nil {
		return answer{}, store.Fault(err)
	}
	v := confirmView{At: c.r.URL.RequestURI(), Next: "/account", Email: c.member.Email.Value, Wrong: wrong, Password: len(stored) > 0,
		Passkeys: c.passkeysWork() && len(c.member.Passkeys) > 0, Provider: c.providerName()}
	if own := "/account/confirm"; c.r.URL.Path == own {
		v.Next = inside(c.r.FormValue("next"))
		v.At = own + "?next=" + url.QueryEscape(v.Next)
	} else {
		for _, name := range slices.Sorted(maps.Keys(c.r.PostForm)) {
			if name == "current" || name == "username" || name == ui.Number {
				continue
			}
			for _, value := range c.r.PostForm[name] {
				v.Sent = append(v.Sent, sentField{name, value})
			}
		}
		if from, err := url.Parse(c.r.Referer()); err == nil && strings.HasPrefix(from.Path, "/") {
			v.Next = inside(from.RequestURI())
		}
	}
	if !v.Password && !v.Passkeys && v.Provider == "" {
		v.Problem = "You have neither a password nor a passkey here. Ask an owner for a link to choose a password."
	}
	a := page("Confirm that it is you", boxed(confirmForm(v)))
	if c.r.Method == http.MethodPost {
		a.status = http.StatusUnprocessableEntity
	}
	return a, nil
}
