// Package server puts everything together: a Config becomes a running instance, with Start and Stop. It is the only
// place that knows all the parts, and the only one below cli that reads the real clock.
package server

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"perennial/internal/analytics"
	"perennial/internal/audit"
	"perennial/internal/auth"
	"perennial/internal/civil"
	"perennial/internal/customer"
	"perennial/internal/db"
	"perennial/internal/fault"
	"perennial/internal/find"
	"perennial/internal/gate"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/kinds"
	"perennial/internal/mail"
	"perennial/internal/move"
	"perennial/internal/observe"
	"perennial/internal/program"
	"perennial/internal/query"
	"perennial/internal/settings"
	"perennial/internal/store"
	"perennial/internal/vault"
)

// Config says where an instance lives and how it behaves.
type Config struct {
	Data     string // the data folder
	Database string // URL; empty: perennial.db in the data folder
	Keys     string // the keys folder; empty: keys in the data folder
	Listen   string // address, for Start
	// MetricsListen is an address of its own for /metrics, /healthz and /readyz; then Listen has no /metrics. Empty: none.
	MetricsListen string
	// StopDelay is how long requests are still taken after readyz has begun to say that the server stops.
	StopDelay time.Duration
	Log       *slog.Logger
	Version   string

	PublicURL      string              // where people reach the server, "https://shop.example"; empty: the address that it listens on
	PortalURL      string              // where subscribers reach the Portal, behind a proxy; empty: /portal of PublicURL
	FrameAncestors []string            // who may show the Portal in a frame, as CSP says it; empty: nobody
	Provider       auth.ProviderConfig // an identity provider for the team; none without an issuer

	SMTP                  string // server for messages, "smtp://user:password@mail.example:587"; empty: MailDir, or none
	MailFrom              string // the sender's address, with SMTP
	DKIMKey, DKIMSelector string // a PEM file with the key that signs messages, and its name in DNS; empty: they are not signed
	MailDir               string // a folder that messages are written into instead of being sent; empty: none

	Connections    int            // open at once on a listener; 0: 4096
	Rate           int            // requests a second for each API key; 0: no limit
	TrustedProxies []netip.Prefix // those whose X-Forwarded-For is believed; empty: nobody's

	// Steady is a clock that nobody can set, MaxGap how long the journal may have stood still at the start without anybody who vouches for
	// the clock (0: for ever), and Witnesses says that the database's clock and the gateway's are asked. RealClock sets them, and so
	// does Open when there is no Clock.
	Steady    func() time.Duration
	MaxGap    time.Duration
	Witnesses bool
	Accept    Accept

	// How many calls of the gateway are under way at once, and how often billing looks for what is due; 0: engine.Busy, 15 seconds.
	InFlight     int
	BillingEvery time.Duration

	// Clock and Random are for the demo, whose past is simulated; nil: the real ones.
	Clock  program.Clock
	Random io.Reader
	// Relaxed gives up durability while a demo's history is made.
	Relaxed bool
}

// open opens the database: the PostgreSQL of a URL, or a file.
func (c Config) open(ctx context.Context, opt db.Options) (*db.DB, error) {
	switch {
	case db.IsURL(c.Database):
		return db.OpenPostgres(ctx, c.Database, opt)
	case c.Database == "":
		return db.Open(ctx, filepath.Join(c.Data, "perennial.db"), opt)
	case filepath.IsAbs(c.Database), filepath.Ext(c.Database) == ".db":
		return db.Open(ctx, c.Database, opt)
	}
	return nil, fault.New(fault.Unavailable, "database_url", "--database takes the address of a PostgreSQL (postgres://…) or the path of a .db file.")
}

// sender sends messages: nil when there is no way to.
func (c Config) sender() (mail.Sender, error) {
	switch {
	case c.SMTP != "" && c.MailFrom == "":
		return nil, fault.New(fault.Unavailable, "mail_from", "--smtp-url needs --mail-from, the address that messages come from.")
	case c.SMTP != "":
		s, err := mail.NewSMTP(c.SMTP, c.MailFrom, c.Clock)
		if err == nil && c.DKIMKey != "" {
			err = s.Sign(c.DKIMKey, c.DKIMSelector)
		}
		return s, err
	case c.MailDir != "":
		return &mail.Folder{Dir: c.MailDir, Clock: c.Clock}, nil
	}
	return nil, nil
}

func (c Config) keysPath() string {
	if c.Keys != "" {
		return c.Keys
	}
	return filepath.Join(c.Data, "keys")
}

// Accept is what whoever runs the server says goes on, by flags of one start.
type Accept struct {
	Clock, Gateway bool
	Waiting        bool // what a restored copy had still to send is sent, though it may have been
	observe.Operator
}

// Instance is an open shop: store, program, index, figures.
type Instance struct {
	Config    Config
	DB        *db.DB
	Store     *store.Store
	Program   *program.Program
	Gate      *gate.Gate
	clock     *gate.Clock
	Finder    *find.Finder
	Analytics *analytics.Analytics
	IDs       *id.Maker
}

// Open opens a shop for changes, and makes it when it is not there.
func Open(ctx context.Context, c Config) (_ *Instance, err error) {
	if c.Clock == nil {
		c.RealClock(0)
	}
	if c.Random == nil {
		c.Random = rand.Reader
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	folder, err := vault.Open(c.keysPath())
	if err != nil {
		return nil, err
	}
	i := &Instance{Config: c, IDs: id.NewMaker(c.Clock, c.Random), Gate: gate.New(c.Log, c.Clock)}
	defer func() {
		if err != nil {
			err = errors.Join(err, i.Close(ctx))
		}
	}()
	if i.DB, err = c.open(ctx, db.Options{Relaxed: c.Relaxed}); err != nil {
		return nil, err
	}
	if i.Store, err = store.Open(ctx, i.DB, folder, kinds.Mappings(), i.IDs.NewShop); err != nil {
		return nil, err
	}
	// The database names its shop, and whoever writes to it could name another one: the keys know better.
	if signs, err := folder.Shops(); err != nil {
		return nil, err
	} else if len(signs) > 0 && !slices.Contains(signs, string(i.Store.Shop)) {
		return nil, fault.New(fault.Unavailable, "keys_of_another_shop",
			"The database says that its shop is %s, and the keys folder has the keys of %s. Give the right keys folder, or run perennial verify and ask who changed the database.",
			i.Store.Shop, strings.Join(signs, ", "))
	}
	if len(i.Store.Mended) > 0 {
		c.Log.Warn("the database had lost some of what enforces the journal; it was made again. Run perennial verify, and ask who took it away", "what", i.Store.Mended)
	}
	if head, err := i.Store.ReadHead(ctx, i.Store.Read); err != nil {
		return nil, db.Fault(err)
	} else if head.MovedTo != "" {
		return nil, fault.New(fault.Unavailable, "journal_moved", "This shop was moved to %s: serve it from there.", head.MovedTo)
	}
	if err = i.knowsZone(ctx); err != nil {
		return nil, err
	}
	if err = i.Store.FinishErasures(ctx); err != nil {
		return nil, err
	}
	again, err := query.Rows(ctx, i.Store, query.List{Kind: journal.Customer, Where: []query.Filter{query.Not(query.Status, customer.Redacted), query.KeyDestroyed()}})
	if err != nil {
		return nil, err
	}
	for _, row := range again {
		c.Log.Warn("this customer was erased after this copy of the database was made; erase the customer once more (redact), so that what is open is cancelled", "customer", row.State.Ref().ID)
	}
	if i.Finder, err = find.Open(ctx, i.Store, filepath.Join(c.Data, indexFile), c.Log); err != nil {
		return nil, err
	}
	if i.Analytics, err = analytics.Open(ctx, i.Store, filepath.Join(c.Data, figuresFile), c.Clock, c.Log); err != nil {
		return nil, err
	}
	if i.Program, err = program.Start(ctx, i.Store, i.IDs, c.Clock, c.Log); err != nil {
		return nil, err
	}
	i.Program.Guard(i.Gate)
	return i, i.Heed(ctx)
}

// knowsZone refuses a shop in a time zone that this program's tz database does not have: its days would silently be those of UTC.
func (i *Instance) knowsZone(ctx context.Context) error {
	row, err := i.Store.Load(ctx, i.Store.Read, journal.Ref{Kind: journal.Settings, ID: settings.PageGeneral})
	if err != nil {
		return store.Fault(err)
	}
	g, ok := row.State.(*settings.General)
	if !ok {
		return nil
	}
	if _, err := civil.Zone(g.TimeZone); err != nil {
		version, origin := civil.ZoneData()
		return fault.Wrap(err, fault.Unavailable, "zone_unknown", "The shop's time zone %s is not in the tz database of this program (%s, %s). Install a newer tzdata, or point ZONEINFO at one.", g.TimeZone, cmp.Or(version, "no version"), origin)
	}
	return nil
}

// LeaveUntold says that no message tells of what is in the journal so far, as it was only simulated.
func (i *Instance) LeaveUntold(ctx context.Context) error {
	return i.Program.Upkeep(ctx, func(b *store.Batch) error {
		next := i.Program.Head() + 1
		return b.Follow(store.Following{Next: next, Since: next, SinceAt: b.Now})
	})
}

// Migrate brings the schema of a database up to date, without opening a shop. With dry it only says what it would do; with
// citus it spreads the tables over a cluster afterwards.
func Migrate(ctx context.Context, c Config, dry, citus bool) (*store.Plan, error) {
	d, err := c.open(ctx, db.Options{})
	if err != nil {
		return nil, err
	}
	p, err := store.Migrate(ctx, d, dry)
	if err == nil && citus && !dry {
		err = store.MigrateCitus(ctx, d)
	}
	return p, errors.Join(err, d.Close())
}

// IsURL says whether a database is named by an address.
func IsURL(database string) bool { return db.IsURL(database) }

// Move moves a shop from one database to another; both use the keys folder of the first.
func Move(ctx context.Context, from, to Config, meta program.Meta, steps move.Steps) (_ *move.Report, err error) {
	if _, err := vault.OpenReadOnly(from.keysPath()); err != nil { // not made anew by mistake
		return nil, err
	}
	folder, err := vault.Open(from.keysPath())
	if err != nil {
		return nil, err
	}
	source, err := from.open(ctx, db.Options{})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, source.Close()) }()
	ids := id.NewMaker(time.Now, rand.Reader)
	s, err := store.Open(ctx, source, folder, kinds.Mappings(), ids.NewShop)
	if err != nil {
		return nil, err
	}
	target, err := to.open(ctx, db.Options{})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, target.Close()) }()
	t, err := store.Join(ctx, target, folder, kinds.Mappings(), s.Shop)
	if err != nil {
		return nil, err
	}
	p, err := program.Start(ctx, s, ids, time.Now, from.Log)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.Stop()) }()
	return move.Shop(ctx, s, t, p, meta, steps)
}

// Close stops the program and closes the files. It may be called on an instance that is only half open.
func (i *Instance) Close(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx)
	var errs []error
	if i.Program != nil {
		errs = append(errs, i.Program.Stop())
	}
	if i.Finder != nil {
		errs = append(errs, i.Finder.Close(ctx))
	}
	if i.Analytics != nil {
		errs = append(errs, i.Analytics.Close())
	}
	if i.DB != nil {
		errs = append(errs, i.DB.Close())
	}
	return errors.Join(errs...)
}

// Verify checks a shop without writing anything, also beside a running server.
func Verify(ctx context.Context, c Config, progress audit.Progress) (*audit.Report, error) {
	return Check(ctx, c, false, progress)
}

// Check is Verify, and with deep all that is derived is compared, not a sample.
func Check(ctx context.Context, c Config, deep bool, progress audit.Progress) (*audit.Report, error) {
	s, done, err := OpenReadOnly(ctx, c)
	if err != nil && fault.As(err).Code == "database_damaged" {
		return nil, audit.Damaged(c.name(), err, "its schema", nil)
	}
	if err != nil {
		return nil, err
	}
	defer done()
	derived, close := derivedIn(ctx, s, c)
	defer close()
	began := time.Now()
	r, err := audit.Check(ctx, s, audit.Options{Progress: progress, Deep: deep, Derived: derived})
	if r != nil {
		r.Took = time.Since(began)
	}
	return r, err
}

// name is how messages name the database.
func (c Config) name() string {
	return cmp.Or(db.Redacted(c.Database), filepath.Join(c.Data, "perennial.db"))
}

// OpenReadOnly opens a shop's store for reading only. done closes it.
func OpenReadOnly(ctx context.Context, c Config) (s *store.Store, done func(), err error) {
	folder, err := vault.OpenReadOnly(c.keysPath())
	if err != nil {
		return nil, nil, err
	}
	d, err := c.open(ctx, db.Options{ReadOnly: true})
	if err != nil {
		return nil, nil, err
	}
	s, err = store.Open(ctx, d, folder, kinds.Mappings(), func() id.ID { return "" })
	if err == nil && s.Shop == "" {
		err = fault.New(fault.Unavailable, "journal_empty", "The database %s holds no shop yet.", d.Path)
	}
	if err != nil {
		return nil, nil, errors.Join(err, d.Close())
	}
	return s, func() { _ = d.Close() }, nil // a reader that fails to close has nothing to lose
}

// Redacted is a database's name without its password.
func Redacted(database string) string { return db.Redacted(database) }
