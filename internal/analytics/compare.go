package analytics

import (
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"perennial/internal/catalog"
	"perennial/internal/civil"
	"perennial/internal/db"
	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/query"
	"perennial/internal/settings"
	"perennial/internal/store"
	"perennial/internal/subscription"
)

// What a sample takes.
const (
	sampledSubscriptions = 30
	sampledDays          = 5
	mostSteps            = 4_000  // of the chains of one subscription
	mostOfDay            = 20_000 // entries of one day
	wholeBelow           = 2_000  // a journal with fewer entries is counted again as a whole
)

// Compared says what a comparison covered.
type Compared struct {
	Entries int64 // that the figures count
	Of      int64 // that the journal has
	// Foreign: the figures belong to another journal, version or time zone rules, and are counted anew by the next start. Nothing was compared.
	Foreign       bool
	All           bool
	Subscriptions int // whose facts and orders to come were counted again
	Days          int // whose sales were counted again
}

// Compare counts again what the figures count and tells of each that differs: with all everything, else what some subscriptions and the
// sales of some days come to. The sums of everything that has a list of entries are compared with their lists in any case. It only reads.
func (a *Analytics) Compare(ctx context.Context, all bool, wrong func(seq int64, key, detail string)) (c Compared, err error) {
	return a.compare(ctx, all, wholeBelow, wrong)
}

func (a *Analytics) compare(ctx context.Context, all bool, small int64, wrong func(seq int64, key, detail string)) (c Compared, err error) {
	err = a.snapshot(ctx, func(q db.Querier) error {
		p, err := a.position(ctx, q)
		if err != nil {
			return err
		}
		head, err := a.s.ReadHead(ctx, a.s.Read)
		if err != nil {
			return err
		}
		c = Compared{Entries: p.Next, Of: max(p.Next, head.Seq+1), All: all || p.Next <= small}
		if p.Next == 0 {
			return nil
		}
		if ours, err := a.follows(ctx, p); err != nil || !ours {
			c.Foreign = err == nil
			return err
		}
		again, err := a.second(ctx)
		if err != nil {
			return err
		}
		defer again.d.Load().Close() //nolint:errcheck // it is in memory
		x := &comparison{ctx: ctx, a: a, again: again, q: q, at: p, c: &c, wrong: wrong, subs: map[id.ID]bool{}, days: map[string]bool{}}
		if c.All {
			err = x.countAll()
		} else {
			err = x.countSome()
		}
		if err != nil {
			return err
		}
		return x.hold()
	})
	return c, db.Fault(err)
}

// second gives figures of the same journal in memory, with nothing counted.
func (a *Analytics) second(ctx context.Context) (*Analytics, error) {
	d, err := db.OpenMemory(ctx)
	if err != nil {
		return nil, err
	}
	for _, text := range schema() {
		if _, err := d.Writer.ExecContext(ctx, text); err != nil {
			return nil, errors.Join(err, d.Close())
		}
	}
	again := newAnalytics(a.s, a.clock, a.log)
	again.f.Batch = a.f.Batch
	again.d.Store(d)
	return again, nil
}

// comparison holds the figures in q against those that are counted again, as far as the first are counted.
type comparison struct {
	ctx   context.Context
	a     *Analytics
	again *Analytics
	q     db.Querier
	at    position // of the figures in q
	c     *Compared
	wrong func(seq int64, key, detail string)

	subs  map[id.ID]bool  // that were counted again; unused with all
	days  map[string]bool // whose sales were counted again; unused with all
	zones []zoneSince
}

func (x *comparison) countAll() error {
	for next := int64(0); next < x.at.Next; {
		var err error
		if next, err = x.again.f.Step(x.ctx, x.at.Next-1); err != nil {
			return err
		}
	}
	return nil
}

// countSome counts what some subscriptions and the sales of some days come to.
func (x *comparison) countSome() error {
	if err := x.readZones(); err != nil {
		return err
	}
	seqs := map[int64]bool{}
	if err := x.pickDays(seqs); err != nil {
		return err
	}
	if err := x.pickSubscriptions(seqs); err != nil {
		return err
	}
	stored, err := x.a.s.Pick(x.ctx, x.a.s.Read, store.Closed, slices.Sorted(maps.Keys(seqs)))
	if err != nil {
		return err
	}
	var list []*journal.Event
	plans := map[id.ID]bool{}
	for _, st := range stored {
		if !x.takes(st.Event) {
			continue
		}
		list = append(list, st.Event)
		if c, ok := st.Change("selling_plan_id"); ok && c.After != nil && st.Target().Kind == journal.Subscription {
			var plan id.ID
			if err := json.Unmarshal(c.After, &plan); err != nil {
				return err
			}
			plans[plan] = plan != ""
		}
	}
	for plan, is := range plans {
		if !is {
			continue
		}
		chain, err := x.chain(journal.Ref{Kind: journal.SellingPlan, ID: plan})
		if err != nil {
			return err
		}
		list = append(list, chain...)
	}
	slices.SortFunc(list, func(a, b *journal.Event) int { return int(a.Seq - b.Seq) })
	return x.count(list)
}

// takes says whether an event adds to what is compared.
func (x *comparison) takes(e *journal.Event) bool {
	switch {
	case e.Target().Kind == journal.Subscription:
		return x.subs[e.Target().ID]
	case e.Type == journal.BillingAttemptFailed:
		return slices.ContainsFunc(e.Targets, func(r journal.Ref) bool { return x.subs[r.ID] })
	}
	return e.Type == journal.OrderPlaced || e.Type == journal.OrderRefunded
}

// count counts some events, each on the day on which it was counted among all.
func (x *comparison) count(list []*journal.Event) error {
	tx, err := x.again.d.Load().Writer.BeginTx(x.ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if _, _, err := x.again.row.Lock(x.ctx, tx); err != nil {
		return err
	}
	b, err := x.again.begin(x.ctx, tx)
	if err != nil {
		return err
	}
	if err := b.load(list); err != nil {
		return err
	}
	for _, e := range list {
		day, zone := x.dayOf(e.Seq, e.RecordedAt)
		b.at.day, b.at.zone = day, zone
		b.loc = b.at.location()
		if err := b.take(e); err != nil {
			return fmt.Errorf("analytics: count event %d again: %w", e.Seq, err)
		}
	}
	if err := b.write(); err != nil {
		return err
	}
	return tx.Commit()
}

// chain gives the counted events of a thing, oldest first.
func (x *comparison) chain(ref journal.Ref) (out []*journal.Event, err error) {
	row, err := x.a.s.Load(x.ctx, x.a.s.Read, ref)
	if err != nil || row.Version == 0 {
		return nil, err
	}
	for seq := row.LastSeq; seq != journal.NoPrev; {
		st, err := x.a.s.Event(x.ctx, x.a.s.Read, store.Closed, seq)
		if err != nil {
			return nil, err
		}
		if seq < x.at.Next {
			out = append(out, st.Event)
		}
		seq = st.TargetPrevSeq
	}
	slices.Reverse(out)
	return out, nil
}

// zoneSince is the zone by which days are told apart from an entry on, and the last day before it.
type zoneSince struct {
	seq  int64
	zone string
	loc  *time.Location
	day  string
}

func (x *comparison) readZones() error {
	x.zones = []zoneSince{{zone: "UTC", loc: time.UTC}}
	chain, err := x.chain(journal.Ref{Kind: journal.Settings, ID: settings.PageGeneral})
	if err != nil {
		return err
	}
	for _, e := range chain {
		c, ok := e.Change("time_zone")
		if !ok {
			continue
		}
		z := zoneSince{seq: e.Seq}
		if err := json.Unmarshal(c.After, &z.zone); err != nil {
			return err
		}
		z.loc = position{zone: z.zone}.location()
		if e.Seq > 0 {
			if z.day, err = x.dayAt(e.Seq - 1); err != nil {
				return err
			}
		}
		x.zones = append(x.zones, z)
	}
	return nil
}

// dayOf gives the day on which an entry is counted.
func (x *comparison) dayOf(seq int64, at time.Time) (day, zone string) {
	i := sort.Search(len(x.zones), func(i int) bool { return x.zones[i].seq > seq }) - 1
	z := x.zones[i]
	return max(z.day, civil.Of(at, z.loc).String()), z.zone
}

func (x *comparison) dayAt(seq int64) (string, error) {
	st, err := x.a.s.Event(x.ctx, x.a.s.Read, store.Closed, seq)
	if err != nil {
		return "", err
	}
	day, _ := x.dayOf(seq, st.RecordedAt)
	return day, nil
}

// pickDays adds the sales of some days.
func (x *comparison) pickDays(seqs map[int64]bool) error {
	for range sampledDays {
		day, err := x.dayAt(rand.Int64N(x.at.Next)) //nolint:gosec // any sample will do
		if err != nil {
			return err
		}
		if x.days[day] {
			continue
		}
		var serr error
		from := func(reached func(string) bool) int64 {
			return int64(sort.Search(int(x.at.Next), func(i int) bool {
				at, err := x.dayAt(int64(i))
				serr = errors.Join(serr, err)
				return err != nil || reached(at)
			}))
		}
		lo := from(func(at string) bool { return at >= day })
		hi := from(func(at string) bool { return at > day }) - 1
		if serr != nil {
			return serr
		}
		if hi-lo >= mostOfDay {
			continue
		}
		steps, err := x.a.s.StepsBetween(x.ctx, x.a.s.Read, lo, hi)
		if err != nil {
			return err
		}
		for _, s := range steps {
			if s.Type == journal.OrderPlaced || s.Type == journal.OrderRefunded {
				seqs[s.Seq] = true
			}
		}
		x.days[day] = true
	}
	return nil
}

// pickSubscriptions adds what some subscriptions were through.
func (x *comparison) pickSubscriptions(seqs map[int64]bool) error {
	for range 4 * sampledSubscriptions {
		if len(x.subs) == sampledSubscriptions {
			break
		}
		st, err := x.a.s.Event(x.ctx, x.a.s.Read, store.Closed, rand.Int64N(x.at.Next)) //nolint:gosec // any sample will do
		if err != nil {
			return err
		}
		i := slices.IndexFunc(st.Targets, func(r journal.Ref) bool { return r.Kind == journal.Subscription })
		if i < 0 || x.subs[st.Targets[i].ID] {
			continue
		}
		steps, more, err := x.a.s.Chains(x.ctx, x.a.s.Read, st.Targets[i], 0, mostSteps)
		if err != nil {
			return err
		}
		if more {
			continue
		}
		for _, s := range steps {
			t, _ := journal.Lookup(s.Type)
			if s.Seq < x.at.Next && (t.Target == journal.Subscription || s.Type == journal.BillingAttemptFailed) {
				seqs[s.Seq] = true
			}
		}
		x.subs[st.Targets[i].ID] = true
	}
	return nil
}

// hold compares everything that was counted again.
func (x *comparison) hold() error {
	for _, f := range []func() error{x.sums, x.states, x.reasons} {
		if err := f(); err != nil {
			return err
		}
	}
	return nil
}

// ofSales says whether a figure is counted by orders alone.
func ofSales(figure string) bool {
	switch Figure(figure).family() {
	case "sales", "product", "unit":
		return true
	}
	return false
}

// counted says whether a fact was counted again.
func (x *comparison) counted(figure, day string, sub id.ID) bool {
	if x.c.All {
		return true
	}
	if ofSales(figure) {
		return x.days[day]
	}
	return x.subs[sub]
}

type factKey struct {
	product, figure, day string
	seq                  int64
	sub                  id.ID
}

type factIs struct {
	currency string
	sum
}

func (x *comparison) facts(q db.Querier, each func(factKey, factIs)) error {
	return db.Each(x.ctx, q, func(r *sql.Rows) error {
		var k factKey
		var is factIs
		if err := r.Scan(&k.product, &k.figure, &k.day, &k.seq, &k.sub, &is.currency, &is.count, &is.amount); err != nil {
			return err
		}
		each(k, is)
		return nil
	}, `SELECT product, figure, day, seq, subscription_id, currency, count, amount FROM rollup_entry WHERE shop_id = $1`, x.a.s.Shop)
}

func (x *comparison) cells(q db.Querier) (map[cell]sum, error) {
	out := map[cell]sum{}
	err := db.Each(x.ctx, q, func(r *sql.Rows) error {
		var c cell
		var s sum
		err := r.Scan(&c.product, &c.figure, &c.day, &c.currency, &s.count, &s.amount)
		if s != (sum{}) {
			out[c] = s
		}
		return err
	}, `SELECT product, figure, day, currency, count, amount FROM rollup WHERE shop_id = $1`, x.a.s.Shop)
	return out, err
}

// sums compares the facts with those counted again, and the sums with the facts, or with sums counted again.
func (x *comparison) sums() error {
	want := map[factKey]factIs{}
	if err := x.facts(x.again.d.Load().Reader, func(k factKey, is factIs) { want[k] = is }); err != nil {
		return err
	}
	added := map[cell]sum{}
	err := x.facts(x.q, func(k factKey, is factIs) {
		c := cell{k.product, k.figure, k.day, is.currency}
		added[c] = sum{added[c].count + is.count, added[c].amount + is.amount}
		if !x.counted(k.figure, k.day, k.sub) {
			return
		}
		should, ok := want[k]
		delete(want, k)
		switch {
		case !ok:
			x.wrong(k.seq, string(k.sub), fmt.Sprintf("%s on %s counts this entry, which adds nothing to it", k.figure, k.day))
		case is != should:
			x.wrong(k.seq, string(k.sub), fmt.Sprintf("%s on %s takes this entry for %s, it is %s", k.figure, k.day, is, should))
		}
	})
	if err != nil {
		return err
	}
	for k := range want {
		x.wrong(k.seq, string(k.sub), fmt.Sprintf("%s on %s does not count this entry", k.figure, k.day))
	}
	has, err := x.cells(x.q)
	if err != nil {
		return err
	}
	counted, err := x.cells(x.again.d.Load().Reader)
	if err != nil {
		return err
	}
	should := map[cell]sum{} // of these cells
	held := func(c cell) bool {
		switch {
		case c.figure == dueFigure:
			return false
		case Figure(c.figure).members() != nil:
			should[c] = added[c]
			return true
		}
		should[c] = counted[c]
		return x.c.All || ofSales(c.figure) && x.days[c.day]
	}
	all := map[cell]bool{}
	for _, m := range []map[cell]sum{has, counted, added} {
		for c := range m {
			all[c] = true
		}
	}
	for _, c := range slices.SortedFunc(maps.Keys(all), func(a, b cell) int { return strings.Compare(a.String(), b.String()) }) {
		if held(c) && has[c] != should[c] {
			x.wrong(-1, c.String(), fmt.Sprintf("the sum is %s, its entries come to %s", has[c], should[c]))
		}
	}
	return nil
}

func (s sum) String() string    { return fmt.Sprintf("%d times %d", s.count, s.amount) }
func (f factIs) String() string { return fmt.Sprintf("%s %s", f.sum, f.currency) }
func (c cell) String() string {
	words := c.figure + " on " + c.day
	if c.product != "" {
		words += " of " + c.product
	}
	return words
}

// standing is what is known of a subscription or of a plan.
type standing struct {
	plan          id.ID
	covered, body string
	due           []planned
}

func (x *comparison) standings(q db.Querier) (map[id.ID]standing, error) {
	out := map[id.ID]standing{}
	read := func(where string, args ...any) error {
		return db.Each(x.ctx, q, func(r *sql.Rows) error {
			var key id.ID
			var s standing
			var body, due []byte
			if err := r.Scan(&key, &s.plan, &s.covered, &body, &due); err != nil {
				return err
			}
			var err error
			if s.body, err = today(key, body); err == nil {
				err = json.Unmarshal(due, &s.due)
			}
			if err != nil {
				x.wrong(-1, string(key), "what is known of it cannot be read: "+err.Error())
				return nil //nolint:nilerr // it is told as a difference
			}
			out[key] = s
			return nil
		}, `SELECT id, plan_id, covered, body, due FROM rollup_state WHERE shop_id = $1`+where, append([]any{x.a.s.Shop}, args...)...)
	}
	if x.c.All {
		return out, read("")
	}
	for part := range slices.Chunk(slices.Sorted(maps.Keys(x.subs)), 500) {
		args := make([]any, len(part))
		for i, key := range part {
			args[i] = key
		}
		if err := read(` AND id IN (`+db.Placeholders(2, len(part))+`)`, args...); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// today gives what is known of a thing as it would be written now.
func today(key id.ID, body []byte) (string, error) {
	var v any = new(known)
	if journal.KindOf(key) == journal.SellingPlan {
		v = new([]catalog.Pricing)
	}
	if err := json.Unmarshal(body, v); err != nil {
		return "", err
	}
	b, err := json.Marshal(v, json.Deterministic(true))
	return string(b), err
}

// states compares what is known of subscriptions and plans, and the orders to come.
func (x *comparison) states() error {
	has, err := x.standings(x.q)
	if err != nil {
		return err
	}
	want, err := x.standings(x.again.d.Load().Reader)
	if err != nil {
		return err
	}
	due := map[cell]sum{}
	for key, is := range has {
		for _, p := range is.due {
			c := cell{string(p.Product), dueFigure, p.Day, p.Currency}
			due[c] = sum{due[c].count + 1, due[c].amount + p.Amount}
		}
		should, ok := want[key]
		switch {
		case !ok:
			x.wrong(-1, string(key), "it is known to the figures, and no entry tells of it")
		case is.plan != should.plan || is.body != should.body:
			x.wrong(-1, string(key), "what the figures know of it is not what its entries say")
		}
	}
	for key := range want {
		if _, ok := has[key]; !ok {
			x.wrong(-1, string(key), "the figures do not know it")
		}
		if journal.KindOf(key) == journal.Subscription {
			x.c.Subscriptions++
		}
	}
	x.c.Days = len(x.days)
	if x.c.All {
		sums, err := x.cells(x.q)
		if err != nil {
			return err
		}
		for c, s := range sums {
			if c.figure == dueFigure && s != due[c] {
				x.wrong(-1, c.String(), fmt.Sprintf("the sum is %s, the orders to come are %s", s, due[c]))
			}
			delete(due, c)
		}
		for c, s := range due {
			x.wrong(-1, c.String(), fmt.Sprintf("there is no sum, the orders to come are %s", s))
		}
	}
	return x.schedules(has)
}

// schedules compares the orders to come of subscriptions that no entry has changed since they were looked at.
func (x *comparison) schedules(has map[id.ID]standing) error {
	prices, newest, err := x.a.pricesAt(x.ctx)
	if err != nil || newest >= x.at.Next {
		return err
	}
	last, err := civil.Parse(x.at.day)
	if err != nil {
		return err
	}
	var keys []id.ID
	for key, is := range has {
		if journal.KindOf(key) == journal.Subscription && is.covered != "" {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	for part := range slices.Chunk(keys, lookLength) {
		rows, err := query.ByID(x.ctx, x.a.s, journal.Subscription, part)
		if err != nil {
			return err
		}
		for _, row := range rows {
			s := row.State.(*subscription.Subscription)
			if row.LastSeq >= x.at.Next {
				continue
			}
			is, looked, until := has[s.ID], last, last.AddDays(Horizon+ahead)
			if is.covered != always {
				if until, err = civil.Parse(is.covered); err != nil {
					x.wrong(-1, string(s.ID), "covered is no day")
					continue
				}
				looked = until.AddDays(-Horizon - ahead)
			}
			due, err := prices.plan(s, looked, until)
			if err != nil {
				return err
			}
			if (due == nil) != (is.covered == always) || !slices.Equal(due, is.due) {
				x.wrong(-1, string(s.ID), "its orders to come are not what its schedule says")
			}
		}
	}
	return nil
}

// reasons compares the reasons of cancellations. One that was erased since is no difference.
func (x *comparison) reasons() error {
	type reason struct {
		seq int64
		sub id.ID
		mac string
	}
	read := func(q db.Querier) (map[int64]reason, error) {
		out := map[int64]reason{}
		return out, db.Each(x.ctx, q, func(r *sql.Rows) error {
			var is reason
			var mac []byte
			err := r.Scan(&is.seq, &is.sub, &mac)
			if is.mac = hex.EncodeToString(mac); x.c.All || x.subs[is.sub] {
				out[is.seq] = is
			}
			return err
		}, `SELECT seq, subscription_id, mac FROM rollup_reason WHERE shop_id = $1`, x.a.s.Shop)
	}
	has, err := read(x.q)
	if err != nil {
		return err
	}
	want, err := read(x.again.d.Load().Reader)
	if err != nil {
		return err
	}
	for seq, is := range has {
		should, ok := want[seq]
		delete(want, seq)
		if ok && is == should {
			continue
		}
		if !ok {
			st, err := x.a.s.Event(x.ctx, x.a.s.Read, store.Opened, seq)
			if err != nil && fault.As(err).Kind != fault.NotFound {
				return err
			}
			if err == nil && st.Target().ID == is.sub {
				if c, _ := st.Change("cancel_reason"); string(c.After) == journal.ErasedJSON {
					continue
				}
			}
		}
		x.wrong(seq, string(is.sub), "the reason of its cancellation is not the one of this entry")
	}
	for seq, should := range want {
		x.wrong(seq, string(should.sub), "the reason of its cancellation is not counted")
	}
	return nil
}
