package auth

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"
)

// Passkeys makes and checks passkeys (WebAuthn) for one address. Counters of authenticators are not kept: passkeys that
// are synchronised between devices have none.
type Passkeys struct {
	w      *webauthn.WebAuthn
	Origin string // where they work: "https://shop.example"
}

// PasskeyUser is whose passkeys they are.
type PasskeyUser struct {
	Handle      []byte // what a passkey remembers of its owner: no name
	Name        string
	Credentials [][]byte // as Register gave them
}

// NewPasskeys makes passkeys for the origin of an absolute address.
func NewPasskeys(base, display string) (*Passkeys, error) {
	u, err := url.Parse(base)
	if err != nil || u.Hostname() == "" {
		return nil, fmt.Errorf("auth: passkeys need an absolute address, not %q", base)
	}
	origin := u.Scheme + "://" + u.Host
	w, err := webauthn.New(&webauthn.Config{RPID: u.Hostname(), RPDisplayName: display, RPOrigins: []string{origin},
		AuthenticatorSelection: protocol.AuthenticatorSelection{ResidentKey: protocol.ResidentKeyRequirementRequired, UserVerification: protocol.VerificationRequired}})
	if err != nil {
		return nil, fmt.Errorf("auth: passkeys: %w", err)
	}
	return &Passkeys{w, origin}, nil
}

type webauthnUser struct {
	PasskeyUser
	credentials []webauthn.Credential
}

func (u webauthnUser) WebAuthnID() []byte                         { return u.Handle }
func (u webauthnUser) WebAuthnName() string                       { return u.Name }
func (u webauthnUser) WebAuthnDisplayName() string                { return u.Name }
func (u webauthnUser) WebAuthnCredentials() []webauthn.Credential { return u.credentials }

func (u PasskeyUser) open() (webauthnUser, error) {
	out := webauthnUser{PasskeyUser: u}
	for _, b := range u.Credentials {
		var c webauthn.Credential
		if err := json.Unmarshal(b, &c); err != nil {
			return out, fmt.Errorf("auth: a stored passkey: %w", err)
		}
		out.credentials = append(out.credentials, c)
	}
	return out, nil
}

// Ceremony is what has to be kept, where its holder cannot change it, between the two halves of using a passkey.
type Ceremony struct {
	Session webauthn.SessionData `json:"session"`
}

// Challenge tells ceremonies apart.
func (c Ceremony) Challenge() string { return c.Session.Challenge }

// BeginRegister gives the options for the browser, as JSON, to make a passkey.
func (p *Passkeys) BeginRegister(u PasskeyUser) ([]byte, Ceremony, error) {
	user, err := u.open()
	if err != nil {
		return nil, Ceremony{}, err
	}
	exclude := make([]protocol.CredentialDescriptor, len(user.credentials))
	for i := range user.credentials {
		exclude[i] = user.credentials[i].Descriptor()
	}
	return begun(p.w.BeginRegistration(user, webauthn.WithExclusions(exclude)))
}

// Register checks what the browser made and gives the credential to keep.
func (p *Passkeys) Register(u PasskeyUser, c Ceremony, answer []byte) ([]byte, error) {
	user, err := u.open()
	if err != nil {
		return nil, err
	}
	parsed, err := protocol.ParseCredentialCreationResponseBytes(answer)
	if err != nil {
		return nil, fmt.Errorf("auth: register a passkey: %w", err)
	}
	credential, err := p.w.CreateCredential(user, c.Session, parsed)
	if err != nil {
		return nil, fmt.Errorf("auth: register a passkey: %w", err)
	}
	return json.Marshal(credential)
}

// BeginLogin gives the options for the browser, as JSON, to use any passkey that it has for this address.
func (p *Passkeys) BeginLogin() ([]byte, Ceremony, error) {
	return begun(p.w.BeginDiscoverableLogin(webauthn.WithUserVerification(protocol.VerificationRequired)))
}

func begun[T any](options T, s *webauthn.SessionData, err error) ([]byte, Ceremony, error) {
	if err != nil {
		return nil, Ceremony{}, fmt.Errorf("auth: begin with a passkey: %w", err)
	}
	b, err := json.Marshal(options)
	return b, Ceremony{*s}, err
}

// Login checks the browser's answer. find gives the person with a handle.
func (p *Passkeys) Login(c Ceremony, answer []byte, find func(handle []byte) (PasskeyUser, error)) error {
	parsed, err := protocol.ParseCredentialRequestResponseBytes(answer)
	if err != nil {
		return fmt.Errorf("auth: use a passkey: %w", err)
	}
	_, err = p.w.ValidateDiscoverableLogin(func(_, handle []byte) (webauthn.User, error) {
		u, err := find(handle)
		if err != nil {
			return nil, err
		}
		if !bytes.Equal(u.Handle, handle) {
			return nil, errors.New("auth: a passkey of somebody else")
		}
		return u.open()
	}, c.Session, parsed)
	if err != nil {
		return fmt.Errorf("auth: use a passkey: %w", err)
	}
	return nil
}
