package mail_test

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"math/big"
	"net"
	netmail "net/mail"
	"regexp"
	"strings"
	"testing"
	"time"

	"perennial/internal/mail"
)

// talk is a server that speaks SMTP up to the end of DATA and then does what it is told to: no library behaves badly on purpose.
func talk(t *testing.T, after func(c net.Conn, lines *bufio.Scanner)) (*mail.SMTP, chan string) {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	greeted, done := make(chan string, 1), make(chan struct{})
	go func() {
		defer close(done)
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		_, _ = fmt.Fprint(c, "220 here\r\n")
		lines, data := bufio.NewScanner(c), false
		for lines.Scan() {
			switch line := lines.Text(); {
			case data && line == ".":
				_, _ = fmt.Fprint(c, "250 queued\r\n")
				after(c, lines)
				return
			case data:
			case strings.HasPrefix(line, "EHLO "):
				greeted <- strings.TrimPrefix(line, "EHLO ")
				_, _ = fmt.Fprint(c, "250-here\r\n250 8BITMIME\r\n")
			case line == "DATA":
				data = true
				_, _ = fmt.Fprint(c, "354 go on\r\n")
			default:
				_, _ = fmt.Fprint(c, "250 ok\r\n")
			}
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	s, err := mail.NewSMTP("smtp://"+l.Addr().String(), "shop@harbor.example", time.Now)
	if err != nil {
		t.Fatal(err)
	}
	return s, greeted
}

// A message that the server answered with 250 was sent, whatever comes of the connection. Sending it again would be a second copy.
func TestSentOnceTaken(t *testing.T) {
	each := func(reply string) func(net.Conn, *bufio.Scanner) {
		return func(c net.Conn, lines *bufio.Scanner) {
			for lines.Scan() {
				_, _ = fmt.Fprint(c, reply)
			}
		}
	}
	for name, after := range map[string]func(net.Conn, *bufio.Scanner){
		"closes the connection":       func(net.Conn, *bufio.Scanner) {},
		"is going down":               each("421 going down\r\n"),
		"knows neither RSET nor QUIT": each("502 unknown\r\n"),
	} {
		t.Run(name, func(t *testing.T) {
			s, greeted := talk(t, after)
			if err := s.Send(t.Context(), hello); err != nil {
				t.Errorf("got %v", err)
			}
			if got := <-greeted; got != "harbor.example" {
				t.Errorf("EHLO %s: it is the sender's domain, not the machine's name", got)
			}
		})
	}
}

// Debian's mail servers offer STARTTLS with a certificate that nobody signed.
func TestSelfSignedOnThisMachine(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"debian"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	b := inbox{got: make(chan string, 1)}
	_, port, _ := net.SplitHostPort(b.listen(t, &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, MinVersion: tls.VersionTLS12}))
	for _, host := range []string{"localhost", "127.0.0.1"} {
		s, err := mail.NewSMTP("smtp://"+net.JoinHostPort(host, port), "shop@harbor.example", time.Now)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Send(t.Context(), hello); err != nil {
			t.Errorf("%s: got %v", host, err)
			continue
		}
		<-b.got
	}
}

// Message-ID is a dot-atom of ours at the sender's domain (RFC 5322, 3.6.4), also for a message that brings no id.
func TestMessageID(t *testing.T) {
	form := regexp.MustCompile(`^<[a-z0-9_]{5,40}@harbor\.example>$`)
	seen := map[string]bool{}
	for range 2 {
		b, s := serve(t, nil)
		m := hello
		m.ID = ""
		if err := s.Send(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		got, err := netmail.ReadMessage(strings.NewReader(<-b.got))
		if err != nil {
			t.Fatal(err)
		}
		id := got.Header.Get("Message-Id")
		if !form.MatchString(id) || seen[id] {
			t.Errorf("Message-ID %s", id)
		}
		seen[id] = true
		if got := got.Header.Get("Auto-Submitted"); got != "auto-generated" {
			t.Errorf("Auto-Submitted: %s", got)
		}
	}
}
