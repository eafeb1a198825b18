package bench

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	mathrand "math/rand/v2"

	"perennial/internal/audit"
	"perennial/internal/db"
	"perennial/internal/engine"
	"perennial/internal/fault"
	"perennial/internal/observe"
	"perennial/internal/payment/simulated"
	"perennial/internal/server"
)

// Life is one life of the process that bills, which ends with kill -9.
type Life struct {
	Trouble Trouble
	Moves   bool // people split and merge
	Copied  bool // a copy of the database is made before it, which the next life has
}

// Lives come in turns. What people split in a history that is lost with a copy is not part of it: its charge is a stray, which no rule can
// ascribe to anything.
var Lives = []Life{
	{Moves: true},
	{Copied: true}, {Trouble: Restored},
	{Trouble: Jumps, Moves: true},
	{Copied: true}, {Trouble: KeysAsOld},
	{Trouble: Wrong, Moves: true},
	{Trouble: Refused, Moves: true},
}

func (l Life) old() bool { return l.Trouble == Restored || l.Trouble == KeysAsOld }

const (
	entryBytes = 300             // of the gateway's ledger, about
	troubled   = 2 * time.Second // is a process left alone in which nothing can move
	stuck      = 2 * time.Minute // is one waited for
)

// killed lets processes bill, kills each but the last without a warning, and lets the last one finish.
func (b *billingRun) killed() (err error) {
	c := &crashes{billingRun: b, rnd: mathrand.New(mathrand.NewPCG(b.o.Seed, uint64(b.o.Crashes))), seen: map[Trouble]int{}}
	defer func() { err = errors.Join(err, c.tidy()) }()
	began := time.Now()
	for done := false; !done; {
		if done, err = c.next(); err != nil {
			return err
		}
	}
	b.Say(fmt.Sprintf("done after %d kills", c.kills))
	n := int64(b.o.Subscriptions)
	for _, f := range []Figure{
		{Key: "billing.kills", Name: "processes that were killed while they billed", Events: n, Value: float64(c.kills), Unit: "kills"},
		{Key: "billing.killed.rate", Name: "renewals, with the kills and the starts", Events: n, Rate: float64(n) / time.Since(began).Seconds()},
		{Key: "billing.restores", Name: "old copies put back beside newer keys", Value: float64(c.seen[Restored]), Unit: "restores"},
		{Key: "billing.restores.keys", Name: "old copies put back with keys as old", Value: float64(c.seen[KeysAsOld]), Unit: "restores"},
		{Key: "billing.jumps", Name: "lives in which the clock jumped", Value: float64(c.seen[Jumps]), Unit: "lives"},
		{Key: "billing.wrong", Name: "lives that began beside a wrong clock", Value: float64(c.seen[Wrong]), Unit: "lives"},
		{Key: "billing.refusals", Name: "lives in which the gateway refused the shop", Value: float64(c.seen[Refused]), Unit: "lives"},
		{Key: "billing.held", Name: "charges beside an old copy or a wrong key", Value: float64(c.held), Unit: "charges", Goal: "none", Met: new(c.held == 0)},
	} {
		b.add(f)
	}
	return nil
}

// crashes is the sequence of lives. It belongs to one goroutine.
type crashes struct {
	*billingRun
	rnd    *mathrand.Rand
	kills  int
	held   int             // charges that were made while none may be
	seen   map[Trouble]int // lives in which it came to something
	copied string          // the copy: a database's address, or a folder; empty: none
	made   []string        // PostgreSQL databases that were made
}

// next lives one life, and brings about what comes before and after it.
func (c *crashes) next() (done bool, err error) {
	l := Life{Moves: true}
	if c.kills < c.o.Crashes {
		l = c.o.Lives[c.kills%len(c.o.Lives)]
	}
	if l.Copied {
		if err := c.copy(); err != nil {
			return false, err
		}
	}
	if l.old() {
		if err := c.putBack(l.Trouble); err != nil {
			return false, err
		}
	}
	w := c.work
	w.Moves, w.Trouble, w.Seed = l.Moves, l.Trouble, c.rnd.Uint64()
	entries := 1 + c.rnd.IntN(2*c.o.Subscriptions/(c.o.Crashes+1))
	if l.Copied { // more than the attempts that are open in the copy: those the database knows, so nothing would be noticed
		entries += 4 * c.o.InFlight
	}
	before, took := c.ledger(), c.charges()
	if done, err = c.live(w, before+entryBytes*int64(entries)); err != nil {
		return false, fmt.Errorf("bench: a life with the trouble %q: %w", l.Trouble, err)
	}
	if done {
		return true, nil
	}
	c.kills++
	c.Say(fmt.Sprintf("kill %d of %d: %s", c.kills, c.o.Crashes, cmp.Or(string(l.Trouble), "untroubled")))
	held := l.Trouble == Refused
	if l.old() {
		if held, err = c.accept(); err != nil {
			return false, err
		}
	}
	if held {
		c.held += c.charges() - took
	}
	if held || !l.old() {
		c.seen[l.Trouble]++
	}
	return false, nil
}

// ledger is the size of the gateway's ledger, which grows with each answer about money.
func (b *billingRun) ledger() int64 {
	info, err := os.Stat(filepath.Join(b.work.Data, ledgerFile))
	if err != nil {
		return 0
	}
	return info.Size()
}

// charges counts the charges in the ledger, also those that were declined. Other answers may come beside a wrong key, such as that a declined
// charge is closed.
func (b *billingRun) charges() int {
	text, err := os.ReadFile(filepath.Join(b.work.Data, ledgerFile))
	if err != nil {
		return 0
	}
	return bytes.Count(text, []byte(`{"kind":"charge"`))
}

// live lets a process bill until the gateway's ledger has a size, or until it is done; the last one has all the time.
func (c *crashes) live(w BillingWork, until int64) (done bool, err error) {
	cmd, ended, err := c.process(w)
	if err != nil {
		return false, err
	}
	last := c.kills >= c.o.Crashes
	patience := time.Now().Add(stuck)
	if w.Trouble != Untroubled {
		patience = time.Now().Add(troubled)
	}
	for size := int64(0); ; {
		select {
		case err := <-ended:
			return true, err
		case <-time.After(5 * time.Millisecond):
		}
		now := c.ledger()
		if now > size && w.Trouble == Untroubled {
			size, patience = now, time.Now().Add(stuck)
		}
		enough := !last && w.Trouble == Untroubled && now >= until // the others live until their trouble is over
		if late := time.Now().After(patience); late || enough {
			if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
				return false, err
			}
			<-ended //nolint:errcheck // it was killed
			if late && w.Trouble == Untroubled {
				err = fmt.Errorf("nothing moved for %s", stuck)
			}
			return false, err
		}
	}
}

// process starts a process that bills, and returns when it has begun.
func (b *billingRun) process(w BillingWork) (*exec.Cmd, <-chan error, error) {
	args := b.o.Work(w)
	cmd := exec.CommandContext(b.ctx, args[0], args[1:]...)
	cmd.Stderr, cmd.WaitDelay = os.Stderr, 10*time.Second
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return nil, nil, fmt.Errorf("bench: %s: %w", args[0], err)
	}
	_, rerr := bufio.NewReader(out).ReadString('\n')
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	if rerr != nil {
		return nil, nil, fmt.Errorf("bench: a process that bills did not begin: %w", errors.Join(rerr, <-done))
	}
	return cmd, done, nil
}

// copy copies the database, which nobody has open, and the keys folder.
func (c *crashes) copy() error {
	to := c.work.Data + ".copy"
	if err := os.RemoveAll(to); err != nil {
		return err
	}
	if err := copyFiles(filepath.Join(c.work.Data, "keys"), filepath.Join(to, "keys")); err != nil {
		return err
	}
	if c.copied = to; c.work.Database == "" {
		return copyFiles(c.work.Data, to, databaseFiles...)
	}
	name := fmt.Sprintf("%s_%d", databaseOf(c.work.Database), c.kills)
	if err := c.postgres(`CREATE DATABASE "` + name + `" TEMPLATE "` + databaseOf(c.work.Database) + `"`); err != nil {
		return err
	}
	c.copied = addressOf(c.work.Database, name)
	c.made = append(c.made, name)
	return nil
}

// putBack puts the copy in the place of what came after it. The gateway keeps its memory, and the keys folder is as new as it is unless it
// is lost too.
func (c *crashes) putBack(t Trouble) error {
	from := c.work.Data + ".copy"
	if t == KeysAsOld {
		keys := filepath.Join(c.work.Data, "keys")
		if err := errors.Join(os.RemoveAll(keys), os.Rename(filepath.Join(from, "keys"), keys)); err != nil {
			return err
		}
	}
	if c.work.Spoil == Forgotten {
		if err := c.forget(); err != nil {
			return err
		}
	}
	if c.work.Database != "" {
		c.work.Database = c.copied
		return nil
	}
	for _, name := range databaseFiles {
		if err := os.Remove(filepath.Join(c.work.Data, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return copyFiles(from, c.work.Data, databaseFiles...)
}

var databaseFiles = []string{"perennial.db", "perennial.db-wal", "perennial.db-shm"}

// copyFiles copies files of a folder, all without names, for nobody else to read; those that are not there are left out.
func copyFiles(from, to string, names ...string) error {
	if err := os.MkdirAll(to, 0o700); err != nil {
		return err
	}
	if len(names) == 0 {
		entries, err := os.ReadDir(from)
		if err != nil {
			return err
		}
		for _, e := range entries {
			names = append(names, e.Name())
		}
	}
	for _, name := range names {
		b, err := os.ReadFile(filepath.Join(from, name))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(to, name), b, 0o600)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// postgres runs a statement beside the databases of the run, again for a while as long as killed processes' connections are in the way.
func (c *crashes) postgres(statement string) (err error) {
	d, err := db.OpenPostgres(c.ctx, addressOf(c.work.Database, "postgres"), db.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	for range 100 {
		if _, err = d.Owner.ExecContext(c.ctx, statement); err == nil || c.ctx.Err() != nil {
			break
		}
		pause(c.ctx, 100*time.Millisecond)
	}
	return db.Fault(err)
}

// tidy drops the copies but the one that the shop goes on from, which is for whoever looks at it.
func (c *crashes) tidy() (err error) {
	for _, name := range c.made {
		if name != databaseOf(c.work.Database) {
			err = errors.Join(err, c.postgres(`DROP DATABASE "`+name+`"`))
		}
	}
	return err
}

func databaseOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return strings.TrimPrefix(u.Path, "/")
}

func addressOf(address, database string) string {
	u, err := url.Parse(address)
	if err != nil {
		return address
	}
	u.Path = "/" + database
	return u.String()
}

// accept says that the shop goes on from the copy. When all that is lost are answers of the gateway to attempts that the copy has, there is
// nothing to accept: they are asked for.
func (c *crashes) accept() (noticed bool, err error) {
	err = c.work.open(c.ctx, func(i *server.Instance, _ *simulated.Gateway, _ *engine.Engine) error {
		_, err := i.AcceptRestore(c.ctx, observe.Operator{By: "bench", Because: fmt.Sprintf("restored after kill %d", c.kills)})
		return err
	})
	if err != nil && fault.As(err).Code == "nothing_to_accept" {
		return false, nil
	}
	return err == nil, err
}

// proved checks the whole journal.
func (b *billingRun) proved() error {
	b.Say("checking the journal")
	return b.work.open(b.ctx, func(i *server.Instance, _ *simulated.Gateway, _ *engine.Engine) error {
		rep, err := audit.Verify(b.ctx, i.Store, nil)
		if err != nil {
			return err
		}
		for _, p := range rep.Problems {
			b.Say(fmt.Sprint(p))
		}
		b.add(Figure{Key: "billing.verify", Name: "problems that verify finds", Events: i.Program.Head() + 1, Value: float64(len(rep.Problems)), Unit: "problems", Goal: "none", Met: new(len(rep.Problems) == 0)})
		return nil
	})
}
