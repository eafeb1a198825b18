package auth

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// ProviderConfig names an identity provider (OpenID Connect).
type ProviderConfig struct {
	Issuer       string // its address; empty for none
	ClientID     string
	ClientSecret string
	Name         string // what the button says
}

// Provider is an identity provider. Its own description is asked for when it is first used, so that a provider that is
// away does not keep the server from starting.
type Provider struct {
	ProviderConfig
	redirect string
	client   *http.Client

	mu    sync.Mutex
	known *oidc.Provider // guarded by mu
}

const providerTimeout = 10 * time.Second

// NewProvider makes a provider that sends people back to an address of ours.
func NewProvider(c ProviderConfig, redirect string) *Provider {
	return &Provider{ProviderConfig: c, redirect: redirect, client: &http.Client{Timeout: providerTimeout}}
}

// Errand is what has to be kept, where its holder cannot change it, while somebody is at the provider.
type Errand struct {
	State    string `json:"state"`
	Nonce    string `json:"nonce"`
	Verifier string `json:"verifier"`
}

func (p *Provider) discover(ctx context.Context) (context.Context, *oidc.Provider, *oauth2.Config, error) {
	ctx = oidc.ClientContext(ctx, p.client)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.known == nil {
		// The provider keeps its context for fetching keys later, so it must not be the request's.
		known, err := oidc.NewProvider(oidc.ClientContext(context.WithoutCancel(ctx), p.client), p.Issuer)
		if err != nil {
			return ctx, nil, nil, fmt.Errorf("auth: the identity provider: %w", err)
		}
		p.known = known
	}
	return ctx, p.known, &oauth2.Config{ClientID: p.ClientID, ClientSecret: p.ClientSecret, RedirectURL: p.redirect, Endpoint: p.known.Endpoint(),
		Scopes: []string{oidc.ScopeOpenID, "email"}}, nil
}

// Again asks the provider to have somebody prove once more who they are, and not to go by a session of its own.
type Again bool

// Begin gives the provider's address to send somebody to.
func (p *Provider) Begin(ctx context.Context, again Again) (address string, e Errand, err error) {
	_, _, config, err := p.discover(ctx)
	if err != nil {
		return "", e, err
	}
	e.State = NewSecret()
	e.Nonce = NewSecret()
	e.Verifier = oauth2.GenerateVerifier()
	options := []oauth2.AuthCodeOption{oidc.Nonce(e.Nonce), oauth2.S256ChallengeOption(e.Verifier)}
	if again {
		options = append(options, oauth2.SetAuthURLParam("prompt", "login"), oauth2.SetAuthURLParam("max_age", "0"))
	}
	return config.AuthCodeURL(e.State, options...), e, nil
}

// Why an identity provider's answer names nobody. Each has words of its own for who comes back with it.
var (
	ErrNoEmail     = errors.New("auth: the identity provider gives no e-mail address")
	ErrNotVerified = errors.New("auth: the identity provider does not say that the e-mail address is verified")
	ErrTurnedAway  = errors.New("auth: the identity provider signed nobody in")
)

// Identity is whom the provider vouches for.
type Identity struct {
	Email string
	// Proved is when the person last proved to the provider who they are; zero when it does not say.
	Proved time.Time
}

// claims are what is read of an identity, all of it from one place: the ID token, or UserInfo when the ID token has no address.
type claims struct {
	Email    string `json:"email"`
	Verified *flag  `json:"email_verified"`
}

// flag is a boolean that some providers write as a string.
type flag bool

// UnmarshalJSON implements json.Unmarshaler.
func (f *flag) UnmarshalJSON(b []byte) error {
	switch string(b) {
	case "true", `"true"`:
		*f = true
	case "false", `"false"`:
		*f = false
	default:
		return fmt.Errorf("auth: %s is neither true nor false", b)
	}
	return nil
}

// Finish gives whom the provider vouches for, of whom it sent back. now is for the token's times. denied is the error that the
// provider sent in place of a code.
func (p *Provider) Finish(ctx context.Context, e Errand, state, code, denied string, now time.Time) (who Identity, err error) {
	if e.State == "" || e.Nonce == "" || e.Verifier == "" || subtle.ConstantTimeCompare([]byte(state), []byte(e.State)) != 1 {
		return who, errors.New("auth: the identity provider answered somebody else")
	}
	if denied != "" || code == "" {
		return who, fmt.Errorf("%w: %q", ErrTurnedAway, denied)
	}
	ctx, known, config, err := p.discover(ctx)
	if err != nil {
		return who, err
	}
	token, err := config.Exchange(ctx, code, oauth2.VerifierOption(e.Verifier))
	if err != nil {
		return who, fmt.Errorf("auth: exchange the code: %w", err)
	}
	raw, ok := token.Extra("id_token").(string)
	if !ok {
		return who, errors.New("auth: the identity provider gave no identity")
	}
	id, err := known.Verifier(&oidc.Config{ClientID: p.ClientID, Now: func() time.Time { return now }}).Verify(ctx, raw)
	if err != nil {
		return who, fmt.Errorf("auth: the identity: %w", err)
	}
	if subtle.ConstantTimeCompare([]byte(id.Nonce), []byte(e.Nonce)) != 1 {
		return who, errors.New("auth: the identity is for another sign-in")
	}
	var said struct {
		claims
		AuthTime int64 `json:"auth_time"`
	}
	if err := id.Claims(&said); err != nil {
		return who, fmt.Errorf("auth: the identity: %w", err)
	}
	if said.AuthTime > 0 {
		who.Proved = time.Unix(said.AuthTime, 0)
	}
	c := said.claims
	if c.Email == "" && known.UserInfoEndpoint() != "" { // with a code, a provider may give them there only (OpenID Connect Core 5.4)
		info, err := known.UserInfo(ctx, oauth2.StaticTokenSource(token))
		if err != nil {
			return who, fmt.Errorf("auth: UserInfo: %w", err)
		}
		if info.Subject != id.Subject {
			return who, errors.New("auth: UserInfo is about somebody else")
		}
		c = claims{}
		if err := info.Claims(&c); err != nil {
			return who, fmt.Errorf("auth: UserInfo: %w", err)
		}
	}
	switch {
	case c.Email == "":
		return who, ErrNoEmail
	case c.Verified == nil || !bool(*c.Verified):
		return who, ErrNotVerified
	}
	who.Email = c.Email
	return who, nil
}
