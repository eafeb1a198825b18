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

// Begin gives the provider's address to send somebody to.
func (p *Provider) Begin(ctx context.Context) (address string, e Errand, err error) {
	_, _, config, err := p.discover(ctx)
	if err != nil {
		return "", e, err
	}
	e.State = NewSecret()
	e.Nonce = NewSecret()
	e.Verifier = oauth2.GenerateVerifier()
	return config.AuthCodeURL(e.State, oidc.Nonce(e.Nonce), oauth2.S256ChallengeOption(e.Verifier)), e, nil
}

// Finish gives the e-mail address that the provider vouches for, of whom it sent back. now is for the token's times.
func (p *Provider) Finish(ctx context.Context, e Errand, state, code string, now time.Time) (email string, err error) {
	if subtle.ConstantTimeCompare([]byte(state), []byte(e.State)) != 1 || code == "" {
		return "", errors.New("auth: the identity provider answered somebody else")
	}
	ctx, known, config, err := p.discover(ctx)
	if err != nil {
		return "", err
	}
	token, err := config.Exchange(ctx, code, oauth2.VerifierOption(e.Verifier))
	if err != nil {
		return "", fmt.Errorf("auth: exchange the code: %w", err)
	}
	raw, ok := token.Extra("id_token").(string)
	if !ok {
		return "", errors.New("auth: the identity provider gave no identity")
	}
	id, err := known.Verifier(&oidc.Config{ClientID: p.ClientID, Now: func() time.Time { return now }}).Verify(ctx, raw)
	if err != nil {
		return "", fmt.Errorf("auth: the identity: %w", err)
	}
	if subtle.ConstantTimeCompare([]byte(id.Nonce), []byte(e.Nonce)) != 1 {
		return "", errors.New("auth: the identity is for another sign-in")
	}
	var claims struct {
		Email    string `json:"email"`
		Verified bool   `json:"email_verified"`
	}
	if err := id.Claims(&claims); err != nil {
		return "", fmt.Errorf("auth: the identity: %w", err)
	}
	if claims.Email == "" || !claims.Verified {
		return "", errors.New("auth: the identity provider vouches for no e-mail address")
	}
	return claims.Email, nil
}
