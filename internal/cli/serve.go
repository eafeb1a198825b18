package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"perennial/internal/access"
	"perennial/internal/api"
	"perennial/internal/auth"
	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/payment"
	"perennial/internal/payment/simulated"
	"perennial/internal/payment/stripe"
	"perennial/internal/program"
	"perennial/internal/server"
	"perennial/internal/settings"
	"perennial/internal/team"
)

type serveCommand struct {
	place
	reach
	address
	Name     string `help:"The shop's name, for a new one." default:"My store"`
	TimeZone string `help:"The shop's time zone, for a new one." default:"UTC" placeholder:"IANA"`
	Currency string `help:"The shop's currency, for a new one." default:"USD" placeholder:"ISO"`

	AcceptClock   bool          `help:"Go on beside this machine's clock, which nobody else vouches for; with --because, for one start."`
	AcceptGateway bool          `help:"Go on with another account or mode of the payment gateway; with --because, for one start."`
	ClockOffset   time.Duration `help:"Move the clock, to see what a wrong one does; only with the simulated gateway." placeholder:"TIME"`
	word
}

// address says where a server answers, and how it stops.
type address struct {
	Listen         string        `help:"The address to listen on." default:"127.0.0.1:8080" env:"PERENNIAL_LISTEN" placeholder:"ADDR"`
	MetricsListen  string        `help:"An address of its own for /metrics, /healthz and /readyz; then the other one has no /metrics." env:"PERENNIAL_METRICS_LISTEN" placeholder:"ADDR"`
	MaxConnections int           `help:"How many connections may be open at once." default:"4096" env:"PERENNIAL_MAX_CONNECTIONS" placeholder:"N"`
	StopDelay      time.Duration `help:"How long requests are still taken after /readyz has begun to say that the server stops, for a load balancer." default:"0s" env:"PERENNIAL_STOP_DELAY" placeholder:"TIME"`
}

func (a address) into(c *server.Config) {
	c.Listen, c.MetricsListen, c.StopDelay, c.Connections = a.Listen, a.MetricsListen, a.StopDelay, a.MaxConnections
}

// reach says how people come in.
type reach struct {
	PublicURL           string   `help:"Where people reach the server, such as https://shop.example; by default the address that it listens on." env:"PERENNIAL_PUBLIC_URL" placeholder:"URL"`
	PortalURL           string   `name:"portal-url" help:"Where subscribers reach the Portal when a proxy puts it into a store's own site, such as https://store.example/account; by default /portal of the public address." env:"PERENNIAL_PORTAL_URL" placeholder:"URL"`
	FrameAncestors      []string `help:"An origin, such as https://store.example, whose pages may show the Portal in a frame; repeatable. By default none." env:"PERENNIAL_FRAME_ANCESTORS" placeholder:"ORIGIN"`
	RateLimit           int      `help:"Requests a second that an API key may make, twice as many at once; 0: no limit." default:"2000" env:"PERENNIAL_RATE_LIMIT" placeholder:"N"`
	TrustedProxy        []string `help:"A network or address of proxies whose X-Forwarded-For is believed; repeatable. By default nobody's is." env:"PERENNIAL_TRUSTED_PROXY" placeholder:"CIDR"`
	SMTPURL             string   `name:"smtp-url" help:"The server that sends messages, such as smtp://user:password@mail.example:587. Better in the environment than in the arguments." env:"PERENNIAL_SMTP_URL" placeholder:"URL"`
	SMTPURLFile         string   `name:"smtp-url-file" help:"A file with the address of that server, which holds a password." env:"PERENNIAL_SMTP_URL_FILE" placeholder:"FILE"`
	MailFrom            string   `help:"The address that messages come from." env:"PERENNIAL_MAIL_FROM" placeholder:"ADDRESS"`
	DKIMKey             string   `name:"dkim-key" help:"A PEM file with the private key (RSA or Ed25519) that signs messages by DKIM." env:"PERENNIAL_DKIM_KEY" placeholder:"FILE"`
	DKIMSelector        string   `name:"dkim-selector" help:"The name under which the public key is in the DNS of the domain of --mail-from." env:"PERENNIAL_DKIM_SELECTOR" placeholder:"NAME"`
	StripeSecretKey     string   `name:"stripe-secret-key" help:"Stripe's secret key: charges are real then. Better in the environment than in the arguments. Without it a simulated gateway is used." env:"PERENNIAL_STRIPE_SECRET_KEY" placeholder:"KEY"`
	StripeWebhookSecret string   `name:"stripe-webhook-secret" help:"What signs the reports that Stripe sends to /webhooks/stripe." env:"PERENNIAL_STRIPE_WEBHOOK_SECRET" placeholder:"SECRET"`
	StripeSecretFile    string   `name:"stripe-secret-key-file" help:"A file with Stripe's secret key, in place of the key itself." env:"PERENNIAL_STRIPE_SECRET_KEY_FILE" placeholder:"FILE"`
	StripeWebhookFile   string   `name:"stripe-webhook-secret-file" help:"A file with the secret of Stripe's reports." env:"PERENNIAL_STRIPE_WEBHOOK_SECRET_FILE" placeholder:"FILE"`
	StripePublishable   string   `name:"stripe-publishable-key" help:"Stripe's publishable key, pk_…: subscribers can add cards in the Portal then." env:"PERENNIAL_STRIPE_PUBLISHABLE_KEY" placeholder:"KEY"`
	StripeURL           string   `name:"stripe-url" help:"Another address of Stripe's API, for tests." env:"PERENNIAL_STRIPE_URL" placeholder:"URL" hidden:""`
	OIDCIssuer          string   `help:"An identity provider (OpenID Connect) that the team may sign in with." env:"PERENNIAL_OIDC_ISSUER" placeholder:"URL"`
	OIDCClientID        string   `help:"Our id at the identity provider." env:"PERENNIAL_OIDC_CLIENT_ID" placeholder:"ID"`
	OIDCClientSecret    string   `help:"Our secret at the identity provider. Better in the environment than in the arguments." env:"PERENNIAL_OIDC_CLIENT_SECRET" placeholder:"SECRET"`
	OIDCSecretFile      string   `name:"oidc-client-secret-file" help:"A file with our secret at the identity provider." env:"PERENNIAL_OIDC_CLIENT_SECRET_FILE" placeholder:"FILE"`
	OIDCName            string   `help:"What people call the identity provider." env:"PERENNIAL_OIDC_NAME" placeholder:"NAME"`
}

// secrets are what may be given in a file of its own, as the secrets of a container are, in place of the arguments or the environment.
func (r *reach) secrets() []secret {
	return []secret{{&r.SMTPURL, r.SMTPURLFile}, {&r.OIDCClientSecret, r.OIDCSecretFile}, {&r.StripeSecretKey, r.StripeSecretFile},
		{&r.StripeWebhookSecret, r.StripeWebhookFile}}
}

type secret struct {
	value *string
	file  string
}

func (r *reach) readSecrets() error {
	for _, s := range r.secrets() {
		if err := secretOf(s.value, s.file); err != nil {
			return err
		}
	}
	return nil
}

// AfterApply reads what is in files of its own.
func (c *serveCommand) AfterApply() error { return errors.Join(c.place.AfterApply(), c.readSecrets()) }

func (r reach) provider() auth.ProviderConfig {
	return auth.ProviderConfig{Issuer: r.OIDCIssuer, ClientID: r.OIDCClientID, ClientSecret: r.OIDCClientSecret, Name: r.OIDCName}
}

// Run serves until it is told to stop.
func (c serveCommand) Run(w *world) error {
	cfg := c.config(w.log)
	cfg.PublicURL, cfg.Provider, cfg.SMTP, cfg.MailFrom = c.PublicURL, c.provider(), c.SMTPURL, c.MailFrom
	cfg.DKIMKey, cfg.DKIMSelector = c.DKIMKey, c.DKIMSelector
	cfg.PortalURL, cfg.FrameAncestors = c.PortalURL, c.FrameAncestors
	c.into(&cfg)
	if cfg.Clock = w.clock; w.real {
		cfg.RealClock(c.ClockOffset)
	}
	cfg.Accept = server.Accept{Clock: c.AcceptClock, Gateway: c.AcceptGateway, Operator: c.operator()}
	if c.AcceptClock || c.AcceptGateway {
		if err := cfg.Accept.Check(); err != nil {
			return err
		}
	}
	if c.ClockOffset != 0 && (c.StripeSecretKey != "" || c.StripeSecretFile != "") {
		return fault.New(fault.Refused, "clock_offset", "The clock can be moved only beside the simulated gateway: at Stripe, charges are real.")
	}
	proxies, err := server.ParseProxies(c.TrustedProxy)
	if err != nil {
		return err
	}
	cfg.TrustedProxies, cfg.Rate = proxies, c.RateLimit
	if err := os.MkdirAll(c.Data, 0o700); err != nil { // with a PostgreSQL and a keys folder elsewhere nobody else makes it
		return fault.Wrap(err, fault.Unavailable, "data_folder", "The data folder %s cannot be made.", c.Data)
	}
	i, err := server.Open(w.ctx, cfg)
	if err != nil {
		return err
	}
	if i.Program.Head() < 0 {
		key, err := found(w.ctx, i.Program, i.IDs, c.Name, c.TimeZone, c.Currency)
		if err != nil {
			return closing(i, err)
		}
		fmt.Fprintf(w.out, "A new shop. Its first API key, shown once, has every permission:\n\n  %s\n\n", key)
	}
	if c.StripeSecretKey != "" {
		g, err := stripe.New(stripe.Config{SecretKey: c.StripeSecretKey, WebhookSecret: c.StripeWebhookSecret, Publishable: c.StripePublishable, BaseURL: c.StripeURL})
		if err != nil {
			return closing(i, fault.Wrap(err, fault.Refused, "stripe", "Stripe cannot be used: %v.", err))
		}
		return listen(w, i, g, nil, nil, func(s *server.Server) { welcome(w, s) })
	}
	gateway, err := simulated.Open(filepath.Join(c.Data, "gateway.jsonl"), cfg.Clock, simulated.Options{})
	if err != nil {
		return closing(i, err)
	}
	defer func() { _ = gateway.Close() }() // each line of its ledger is written already
	return listen(w, i, gateway, nil, nil, func(s *server.Server) { welcome(w, s) })
}

func closing(i *server.Instance, err error) error {
	if cerr := i.Close(context.Background()); cerr != nil {
		i.Config.Log.Error("close", "error", cerr)
	}
	return err
}

// listen serves an open instance until the context ends. before is called with the address when it is known and nothing
// is answered yet, after with the server when it is ready; both may be nil.
func listen(w *world, i *server.Instance, gateway payment.Gateway, extra *access.Mux, before func(addr string) error, after func(s *server.Server)) error {
	s, err := server.Start(w.ctx, i, gateway, extra, before)
	if err != nil {
		return closing(i, err)
	}
	fmt.Fprintf(w.out, "Perennial is ready on http://%s  (API: http://%s%s, its documentation: http://%s/api/docs)\n", s.Addr, s.Addr, api.Base, s.Addr)
	if after != nil {
		after(s)
	}
	<-w.ctx.Done()
	fmt.Fprintln(w.out, "Stopping: answering what is under way. A second signal stops at once.")
	stopped := make(chan error, 1)
	go func() { stopped <- s.Stop(context.Background()) }()
	bound := stopBound + i.Config.StopDelay
	select {
	case err := <-stopped:
		return err
	case <-time.After(bound):
		return fault.New(fault.Unavailable, "stop_late", "The server did not come to an end within %s and was given up. Nothing that was acknowledged is lost.", bound)
	}
}

// stopBound is how long a stop may take: 20 seconds for requests, and what the database needs at the end.
const stopBound = 45 * time.Second

// welcome prints the set-up link of a shop that nobody owns yet.
func welcome(w *world, s *server.Server) {
	link, err := s.Dashboard.SetupLink(w.ctx)
	switch {
	case err != nil:
		w.log.Error("set-up link", "error", err)
	case link != "":
		fmt.Fprintf(w.out, "\nThe shop has no owner yet. Open this link within a day to become it; it works once:\n\n  %s\n\n", link)
	}
}

// founder is who acts while a shop is being made.
func founder() program.Meta {
	return program.Meta{Actor: journal.Actor{Kind: journal.ActorSystem, ID: "setup"}, Source: journal.Origin{Channel: journal.ChannelCLI}}
}

// found makes a new shop's settings and its first API key, which it returns.
func found(ctx context.Context, p *program.Program, ids *id.Maker, name, zone, currency string) (string, error) {
	for _, d := range settings.Defaults(name, zone, currency) {
		if _, err := p.Do(ctx, &program.Request{Meta: founder(), Command: journal.Bind(settings.Update{Document: d})}); err != nil {
			return "", err
		}
	}
	return newKey(ctx, p, ids, "First key", team.Everything().List())
}

func newKey(ctx context.Context, p *program.Program, ids *id.Maker, name string, permissions []team.Permission) (string, error) {
	key := ids.New(id.APIKey)
	text, hash := auth.NewAPIKey(key)
	m := founder()
	_, err := p.Do(ctx, &program.Request{Meta: m, Command: journal.Bind(team.CreateKey{ID: key, Name: name, Permissions: permissions, Hash: hash, Actor: m.Actor})})
	return text, err
}

type reindexCommand struct{ place }

// Run rebuilds the index and the figures of the reports.
func (c reindexCommand) Run(w *world) error {
	i, err := server.Open(w.ctx, c.config(w.log))
	if err != nil {
		return err
	}
	b := newBar(w.err, "Indexing")
	total := i.Program.Head() + 1
	err = i.Finder.Rebuild(w.ctx, func(done int64) { b.set(done, total, thousands(done)+" entries") })
	b.end()
	if err == nil {
		b = newBar(w.err, "Counting")
		err = i.Analytics.Rebuild(w.ctx, func(done int64) { b.set(done, total, thousands(done)+" entries") })
		b.end()
	}
	if err != nil {
		return closing(i, err)
	}
	fmt.Fprintf(w.out, "Indexed and counted %s entries.\n", thousands(total))
	return i.Close(context.Background())
}

// secretOf reads a secret that is in a file of its own, as the secrets of a container are.
func secretOf(value *string, file string) error {
	if file == "" {
		return nil
	}
	if *value != "" {
		return fault.New(fault.Refused, "secret_twice", "Give the secret or the file %s, not both.", file)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return fault.Wrap(err, fault.Unavailable, "secret_file", "The file %s cannot be read.", file)
	}
	if *value = strings.TrimSpace(string(b)); *value == "" {
		return fault.New(fault.Refused, "secret_file", "The file %s is empty.", file)
	}
	return nil
}
