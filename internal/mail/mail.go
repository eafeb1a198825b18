// Package mail sends messages: by SMTP, or into a folder where the demo and the tests read them. It knows nothing of what a
// message says, and keeps none of it.
package mail

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	gomail "github.com/wneessen/go-mail"

	"perennial/internal/fault"
)

// Message is one mail to one person.
type Message struct {
	To, Subject string
	FromName    string // the shop's; the address is the sender's
	ReplyTo     string // the shop's address for answers; empty: the sender's
	Text        string
	HTML        string // empty: only text
	Unsubscribe string // where its reader can end such messages, an address "mailto:…"; empty: it is not one of a row
	ID          string // the same for a message that is sent again; empty: made up
}

// Sender sends messages. Send returns when the message is handed over; an error means that it may not be.
type Sender interface {
	Send(ctx context.Context, m Message) error
}

const sendTimeout = 20 * time.Second

// compose writes a message as it goes over the wire.
func compose(m Message, from string, now time.Time) (*gomail.Msg, error) {
	msg := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	if err := msg.FromFormat(m.FromName, from); err != nil {
		return nil, err
	}
	if err := msg.To(m.To); err != nil {
		return nil, err
	}
	if m.ReplyTo != "" {
		if err := msg.ReplyTo(m.ReplyTo); err != nil {
			return nil, err
		}
	}
	msg.Subject(m.Subject)
	msg.SetDateWithValue(now)
	// The library's own id names this machine and may break RFC 5322 (a dot-atom has no dot at its ends), so the id is always ours.
	msg.SetMessageIDWithValue(cmp.Or(m.ID, strings.ToLower(rand.Text())) + "@" + domain(from))
	// RFC 3834: holiday replies and other robots leave such messages alone.
	msg.SetGenHeader("Auto-Submitted", "auto-generated")
	if m.Unsubscribe != "" {
		msg.SetGenHeader(gomail.HeaderListUnsubscribe, "<"+m.Unsubscribe+">")
	}
	msg.SetBodyString(gomail.TypeTextPlain, m.Text)
	if m.HTML != "" {
		msg.AddAlternativeString(gomail.TypeTextHTML, m.HTML)
	}
	return msg, nil
}

// domain is the part of an address behind its last @.
func domain(address string) string { return address[strings.LastIndexByte(address, '@')+1:] }

// SMTP sends by a server.
type SMTP struct {
	client *gomail.Client
	from   string
	clock  func() time.Time
}

// NewSMTP takes the address of a server: "smtp://user:password@host:587" (STARTTLS, which has to work unless the host is this
// machine), "smtps://…:465" (TLS from the start). On this machine (localhost, 127.0.0.0/8, ::1) STARTTLS is used when it is
// offered, and certificates are not checked. from is the sender's address; its domain is the name for EHLO.
func NewSMTP(address, from string, clock func() time.Time) (*SMTP, error) {
	bad := func() error {
		return fault.New(fault.Unavailable, "smtp_url", "--smtp-url has to look like smtp://user:password@mail.example:587 or smtps://….")
	}
	u, err := url.Parse(address)
	if err != nil || u.Hostname() == "" || u.Scheme != "smtp" && u.Scheme != "smtps" {
		return nil, bad()
	}
	local := loopback(u.Hostname())
	opts := []gomail.Option{
		gomail.WithTimeout(sendTimeout),
		gomail.WithHELO(domain(from)),
		// Debian's mail servers offer TLS with a certificate that nobody signed. On loopback nobody stands in between.
		gomail.WithTLSConfig(&tls.Config{ServerName: u.Hostname(), MinVersion: tls.VersionTLS12, InsecureSkipVerify: local}),
	}
	port := map[string]int{"smtp": 587, "smtps": 465}[u.Scheme]
	if p := u.Port(); p != "" {
		if port, err = strconv.Atoi(p); err != nil {
			return nil, bad()
		}
	}
	opts = append(opts, gomail.WithPort(port))
	switch {
	case u.Scheme == "smtps":
		opts = append(opts, gomail.WithSSL())
	case local:
		opts = append(opts, gomail.WithTLSPolicy(gomail.TLSOpportunistic))
	default:
		opts = append(opts, gomail.WithTLSPolicy(gomail.TLSMandatory))
	}
	if u.User != nil {
		password, _ := u.User.Password()
		opts = append(opts, gomail.WithSMTPAuth(gomail.SMTPAuthAutoDiscover), gomail.WithUsername(u.User.Username()),
			gomail.WithPassword(password))
	}
	client, err := gomail.NewClient(u.Hostname(), opts...)
	if err != nil {
		return nil, bad()
	}
	return &SMTP{client, from, clock}, nil
}

// loopback says that a host is this machine.
func loopback(host string) bool {
	return host == "localhost" || net.ParseIP(host).IsLoopback()
}

// Send implements Sender. A message is sent once the server answered DATA with 250 (RFC 5321, 6.1: from then on the server answers for
// it), whatever becomes of the connection afterwards.
func (s *SMTP) Send(ctx context.Context, m Message) error {
	msg, err := compose(m, s.from, s.clock())
	if err != nil {
		return err
	}
	conn, err := s.client.DialToSMTPClientWithContext(ctx)
	if err != nil {
		return told(err)
	}
	defer func() { _ = conn.Close() }() // QUIT leaves it open when the server does not answer with 221
	if err := s.client.SendWithSMTPClient(conn, msg); !msg.IsDelivered() {
		return told(err)
	}
	_ = conn.Quit() // a courtesy: the message is the server's now
	return nil
}

// ErrRefused is that the server will not take a message, however often it is tried (RFC 5321, 4.2.1: a reply of 5xx).
var ErrRefused = errors.New("the server will not take this message")

// told is what a server said, without its words: they may name the reader, and errors get into the log.
func told(err error) error {
	se, ok := errors.AsType[*gomail.SendError](err)
	if !ok {
		return err
	}
	why := fmt.Errorf("mail: %s (SMTP %d %s)", se.Reason, se.ErrorCode(), se.EnhancedStatusCode())
	if code := se.ErrorCode(); code >= 550 && code < 560 {
		return errors.Join(ErrRefused, why)
	}
	return why
}

// Folder keeps each message as an .eml file.
type Folder struct {
	Dir   string
	Clock func() time.Time
	n     atomic.Int64
}

// Send implements Sender.
func (f *Folder) Send(_ context.Context, m Message) error {
	now := f.Clock()
	msg, err := compose(m, "shop@perennial.example", now)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(f.Dir, 0o700); err != nil {
		return err
	}
	name := fmt.Sprintf("%s-%03d.eml", now.UTC().Format("20060102-150405"), f.n.Add(1))
	part := filepath.Join(f.Dir, "."+name)
	if err := msg.WriteToFile(part); err != nil {
		return err
	}
	return os.Rename(part, filepath.Join(f.Dir, name))
}
