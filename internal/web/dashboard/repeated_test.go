package dashboard

import (
	"crypto/rand"
	"testing"

	"perennial/internal/auth"
	"perennial/internal/web/ui"
)

// TestASignInThatIsSentTwice sends the form of the sign-in twice, as a double click does: no error is shown, and the second one signs nobody
// in, so that going back after signing out does not either.
func TestASignInThatIsSentTwice(t *testing.T) {
	w, _, _ := owned(t, auth.ProviderConfig{})
	b := w.browser("192.0.2.7")
	form := []string{"email", "olga@example.com", "password", password, "next", "/account", ui.Number, rand.Text()}
	w.want(b.post("/signin", form...), 200, "/account", "Your account")
	w.want(b.post("/signin", form...), 200, "/account", "Your account")
	b.post("/signout")
	w.want(b.post("/signin", form...), 200, "/signin", "Sign in")
}
