package portal

import (
	"crypto/rand"
	"testing"
	"time"

	"perennial/internal/web/ui"
)

// TestACodeThatIsSentTwice sends the form of a code twice, as a double click does, and once more after signing out.
func TestACodeThatIsSentTwice(t *testing.T) {
	w := newWorld(t)
	v := w.visitor()
	v.post("/portal/signin", "email", "ada@example.com")
	form := []string{"code", w.code(), ui.Number, rand.Text()}
	w.want(v.post("/portal/code", form...), 200, "/portal", "Hello Ada")
	again := w.visitor()
	again.client.Jar = v.client.Jar
	v.post("/portal/signin", "email", "ada@example.com") // the browser waits for a code again
	w.want(again.post("/portal/code", form...), 200, "/portal", "Hello Ada")
	v.post("/portal/signout")
	w.want(v.post("/portal/code", form...), 200, "/portal/signin")
}

// TestStrangersAreBoundTogether uses up what strangers may make the program write: for a customer and for nobody the answer is the same, and
// a device that is known goes on.
func TestStrangersAreBoundTogether(t *testing.T) {
	w := newWorld(t)
	known := w.signIn("ada@example.com")
	known.post("/portal/signout")
	waiting := w.visitor()
	waiting.post("/portal/signin", "email", "ben@example.com")
	for n := 0; w.p.Strangers.Admit("192.0.2.1", w.clock()) == 0; n++ {
		if n > 10_000 {
			t.Fatal("there is no bound")
		}
	}
	w.deliver()
	head := w.Program.Head()
	hers, nobodys := w.visitor().post("/portal/signin", "email", "ada@example.com"), w.visitor().post("/portal/signin", "email", "nob@example.com")
	if hers.status != 429 || nobodys.status != 429 || len(hers.body) != len(nobodys.body) {
		t.Errorf("a customer gets %d in %d bytes, nobody %d in %d", hers.status, len(hers.body), nobodys.status, len(nobodys.body))
	}
	w.want(waiting.post("/portal/code", "code", "AAAA-AAAA"), 429, "/portal/code", "Too many")
	w.deliver()
	if w.Program.Head() != head {
		t.Error("something was written")
	}
	w.want(known.post("/portal/signin", "email", "ada@example.com"), 200, "/portal/code", "on its way")
	w.pass(time.Minute)
	if refused := w.p.Strangers.Admit("2001:db8::", w.clock()); refused > 0 {
		t.Errorf("a minute later another network waits %s", refused)
	}
	w.want(w.visitor().post("/portal/signin", "email", "ben@example.com"), 200, "/portal/code", "on its way")
}
