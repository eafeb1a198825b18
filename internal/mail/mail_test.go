package mail_test

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	netmail "net/mail"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-msgauth/dkim"
	"github.com/emersion/go-smtp"

	"perennial/internal/fault"
	"perennial/internal/mail"
)

// inbox is a server that keeps what it gets.
type inbox struct {
	got    chan string
	refuse *smtp.SMTPError
}

func (b inbox) NewSession(*smtp.Conn) (smtp.Session, error) { return b, nil }
func (inbox) Reset()                                        {}
func (inbox) Logout() error                                 { return nil }
func (inbox) Mail(string, *smtp.MailOptions) error          { return nil }

func (b inbox) Rcpt(string, *smtp.RcptOptions) error {
	if b.refuse != nil {
		return b.refuse
	}
	return nil
}

func (b inbox) Data(r io.Reader) error {
	raw, err := io.ReadAll(r)
	b.got <- string(raw)
	return err
}

func serve(t *testing.T, refuse *smtp.SMTPError) (inbox, *mail.SMTP) {
	t.Helper()
	b := inbox{make(chan string, 1), refuse}
	s, err := mail.NewSMTP("smtp://"+b.listen(t, nil), "shop@harbor.example", time.Now)
	if err != nil {
		t.Fatal(err)
	}
	return b, s
}

// listen starts the server, and gives where it is. security may be nil.
func (b inbox) listen(t *testing.T, security *tls.Config) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := smtp.NewServer(b)
	server.Domain, server.ErrorLog, server.TLSConfig = "localhost", slog.NewLogLogger(slog.DiscardHandler, slog.LevelError), security
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(l) }() // ends with Close
	t.Cleanup(func() {
		_, _ = server.Close(), l.Close() // Close alone misses a Serve that has only just begun
		<-done
	})
	return l.Addr().String()
}

var hello = mail.Message{To: "ada@example.com", FromName: "Röst & Co", Subject: "Schön", Text: "Grüße\n", ReplyTo: "help@harbor.example", HTML: "<p>Grüße</p>", Unsubscribe: "mailto:help@harbor.example", ID: "msg_1"}

func TestHeader(t *testing.T) {
	b, s := serve(t, nil)
	if err := s.Send(t.Context(), hello); err != nil {
		t.Fatal(err)
	}
	m, err := netmail.ReadMessage(strings.NewReader(<-b.got))
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{"To": "<ada@example.com>", "Reply-To": "<help@harbor.example>", "Message-Id": "<msg_1@harbor.example>", "List-Unsubscribe": "<mailto:help@harbor.example>", "Dkim-Signature": ""} {
		if got := m.Header.Get(key); got != want {
			t.Errorf("%s: got %q, want %q", key, got, want)
		}
	}
	from, err := m.Header.AddressList("From")
	if err != nil || len(from) != 1 || *from[0] != (netmail.Address{Name: "Röst & Co", Address: "shop@harbor.example"}) {
		t.Errorf("from %v, %v", from, err)
	}
}

// TestSigned has the signatures of both kinds of key looked at by another implementation.
func TestSigned(t *testing.T) {
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for name, key := range map[string]crypto.Signer{"ed25519": edwards, "rsa": rsaKey} {
		t.Run(name, func(t *testing.T) {
			private, err := x509.MarshalPKCS8PrivateKey(key)
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(t.TempDir(), "dkim.pem")
			if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600); err != nil {
				t.Fatal(err)
			}
			public := []byte(nil)
			if edwards, ok := key.Public().(ed25519.PublicKey); ok {
				public = edwards
			} else if public, err = x509.MarshalPKIXPublicKey(key.Public()); err != nil {
				t.Fatal(err)
			}
			b, s := serve(t, nil)
			if err := s.Sign(file, "spring"); err != nil {
				t.Fatal(err)
			}
			if err := s.Send(t.Context(), hello); err != nil {
				t.Fatal(err)
			}
			raw := <-b.got
			verified := func(raw string) error {
				list, err := dkim.VerifyWithOptions(strings.NewReader(raw), &dkim.VerifyOptions{LookupTXT: func(at string) ([]string, error) {
					if at != "spring._domainkey.harbor.example" {
						t.Errorf("asked for the key at %s", at)
					}
					return []string{"v=DKIM1; k=" + name + "; p=" + base64.StdEncoding.EncodeToString(public)}, nil
				}})
				if err != nil || len(list) != 1 {
					t.Fatalf("%d signatures, %v", len(list), err)
				}
				return list[0].Err
			}
			if err := verified(raw); err != nil {
				t.Errorf("the signature does not hold: %v", err)
			}
			if verified(strings.Replace(raw, "ada@example.com", "eve@example.com", 1)) == nil {
				t.Error("the signature holds for another reader")
			}
		})
	}
}

func TestSignNeedsAKey(t *testing.T) {
	_, s := serve(t, nil)
	for _, c := range []struct{ file, selector, code string }{{"none.pem", "spring", "dkim_key"}, {"mail_test.go", "spring", "dkim_key"}, {"mail_test.go", "", "dkim_selector"}} {
		if got := fault.As(s.Sign(c.file, c.selector)).Code; got != c.code {
			t.Errorf("%v: got %s", c, got)
		}
	}
}

// What a server says names nobody in an error, and tells whether it is worth another try.
func TestRefusals(t *testing.T) {
	for code, final := range map[int]bool{451: false, 550: true, 552: true} {
		_, s := serve(t, &smtp.SMTPError{Code: code, EnhancedCode: smtp.EnhancedCode{code / 100, 1, 1}, Message: "no ada@example.com here"})
		err := s.Send(t.Context(), hello)
		if err == nil || errors.Is(err, mail.ErrRefused) != final || strings.Contains(err.Error(), "ada@") || !strings.Contains(err.Error(), fmt.Sprint(code)) {
			t.Errorf("%d: got %v", code, err)
		}
	}
	s, err := mail.NewSMTP("smtp://127.0.0.1:1", "shop@harbor.example", time.Now)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Send(t.Context(), hello); err == nil || errors.Is(err, mail.ErrRefused) {
		t.Errorf("nobody there: %v", err)
	}
}
