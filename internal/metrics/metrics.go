// Package metrics counts what happens and shows it in the form of Prometheus. Only package server imports it: what is
// below tells by observers of its own, and Sources say where the rest is read when somebody asks.
//
// A label's values are a closed list (outcomes, methods, patterns of routes, status codes): never an id, never a value
// that a person or a client chose. The table of docs/operations.md is List, held by a test.
package metrics

import (
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Checkpoint is the newest signed checkpoint, as far as the process knows.
type Checkpoint struct {
	Size    int64     // entries that it is over; 0 for none
	At      time.Time // when it was signed; zero for none
	Refused bool      // the last try was refused: the database is behind an earlier checkpoint, or is another one
}

// Sources are where figures are read at each scrape. They must not wait for anything.
type Sources struct {
	Head       func() int64 // the last committed seq, -1 for none
	Indexed    func() int64 // the last indexed seq, -1 for none
	Missed     func() int   // entries that an index kept from a log, as far as anybody looked since the start
	Counted    func() int64 // the last seq that is in the reports, -1 for none
	Messages   func() Messages
	Followers  func() []Follower
	Waiting    func() int // commands that wait for the writer
	Streams    func() int // clients that follow the journal
	Checkpoint func() Checkpoint
	Verified   func() (at time.Time, differences int64) // the last check of the whole journal in this process; zero before the first
	Forged     func() map[string]int64                  // rows of the machinery since the start that were not as they were written, by table
	Held       []string                                 // the codes of reasons to hold something up
	IsHeld     func(code string) bool
	Now        func() time.Time
	Version    string
	// Zones and ZonesOrigin are the version of the tz database ("2026f") and where it comes from ("built in", or a folder).
	Zones, ZonesOrigin string
}

// Messages are figures of the messages to subscribers; all 0 where this process sends none.
type Messages struct {
	Lag     int64 // entries that were not looked at yet
	Waiting int64 // to be sent, those that will be tried again included
	Sent    int64 // since the start
	Failed  int64 // tries without success since the start
}

// Follower is how one who follows the journal is.
type Follower struct {
	Name    string
	Lag     int64 // entries that are committed and not taken; negative: it takes none
	Failing time.Duration
}

// Described is a metric as it is documented.
type Described struct {
	Name, Kind, Help string
	Labels           []string
}

// Metrics are the figures of one process. The methods may be called from any goroutine.
type Metrics struct {
	reg  *prometheus.Registry
	list []Described

	commands      *prometheus.CounterVec
	entries       prometheus.Counter
	batchCommands prometheus.Histogram
	batchTime     prometheus.Histogram
	requests      *prometheus.CounterVec
	requestTime   *prometheus.HistogramVec
	due           prometheus.Counter
	attempts      *prometheus.CounterVec
	runs          *prometheus.CounterVec
	lastRun       atomic.Int64 // milliseconds of Unix time
}

// The outcomes of commands, of calls of the payment gateway, and of anything that works or does not.
const (
	Done      = "done"
	Unchanged = "unchanged"
	Repeated  = "repeated"
	Refused   = "refused"
	Failed    = "failed"
	Silent    = "silent"
	Held      = "held"
)

// New makes the metrics, with the collectors of the Go runtime and of the process.
func New(s Sources) *Metrics {
	m := &Metrics{reg: prometheus.NewRegistry()}
	m.reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.gauge("perennial_build_info", "1, with the program's version.", prometheus.Labels{"version": s.Version}, func() float64 { return 1 })
	m.gauge("perennial_tzdata_info", "1, with the version of the tz database in use and where it comes from.",
		prometheus.Labels{"version": s.Zones, "origin": s.ZonesOrigin}, func() float64 { return 1 })

	m.gauge("perennial_journal_entries", "Entries in the journal.", nil, func() float64 { return float64(s.Head() + 1) })
	m.gauge("perennial_journal_head_seq", "Seq of the last committed entry; -1 in an empty journal.", nil,
		func() float64 { return float64(s.Head()) })
	m.gauge("perennial_index_seq", "Seq of the last entry that the index has; -1 for none.", nil,
		func() float64 { return float64(s.Indexed()) })
	m.gauge(
		"perennial_index_lag_entries",
		"Entries that are committed and not indexed yet; a search indexes them first.",
		nil,
		func() float64 {
			indexed := s.Indexed()
			return float64(max(0, s.Head()-indexed))
		},
	)
	m.gauge("perennial_log_missing_entries",
		"Entries that the index or the database kept from a log that somebody read since the start or the last check that held, and that a chain names; anything but 0 is an alarm.",
		nil, func() float64 { return float64(s.Missed()) })
	m.gauge(
		"perennial_analytics_lag_entries",
		"Entries that are committed and not in the reports yet; a report counts them first when they are few.",
		nil,
		func() float64 {
			counted := s.Counted()
			return float64(max(0, s.Head()-counted))
		},
	)
	m.gauge("perennial_messages_lag_entries",
		"Entries that are committed and were not looked at for messages yet; 0 where this process sends none.", nil,
		func() float64 { return float64(s.Messages().Lag) })
	m.gauge("perennial_messages_waiting",
		"Messages that are to be sent, those that will be tried again included; 0 where this process sends none.", nil,
		func() float64 { return float64(s.Messages().Waiting) })
	m.counted("perennial_messages_sent_total", "Messages that a mail server took.", func() float64 { return float64(s.Messages().Sent) })
	m.counted("perennial_messages_failed_tries_total", "Tries to send a message that no mail server took.",
		func() float64 { return float64(s.Messages().Failed) })
	m.add(perTable{prometheus.NewDesc("perennial_forged_rows_total", forgedHelp, []string{"table"}, nil), s.Forged},
		"perennial_forged_rows_total", "counter", forgedHelp, "table")
	m.followers("perennial_follower_lag_entries",
		"Entries that are committed and not taken yet, by who takes entries of the journal; 0 where another process does.", s.taking,
		func(f Follower) float64 { return float64(f.Lag) })
	m.followers("perennial_follower_failing_seconds",
		"For how long a follower has failed at each try; 0 when the last one went well.", s.Followers,
		func(f Follower) float64 { return f.Failing.Seconds() })
	m.gauge("perennial_checkpoint_entries", "Entries that the newest signed checkpoint is over.", nil,
		func() float64 { return float64(s.Checkpoint().Size) })
	m.gauge("perennial_checkpoint_unsigned_entries", "Entries that no signed checkpoint is over yet.", nil, func() float64 {
		size := s.Checkpoint().Size
		return float64(max(0, s.Head()+1-size))
	})
	m.gauge(
		"perennial_checkpoint_age_seconds",
		"Seconds since the newest checkpoint was signed; 0 when there is none. It grows while nothing is written.",
		nil,
		func() float64 {
			c := s.Checkpoint()
			if c.At.IsZero() {
				return 0
			}
			return max(0, s.Now().Sub(c.At).Seconds())
		},
	)
	m.gauge(
		"perennial_checkpoint_refused",
		"1 while nothing is signed because the database is behind an earlier checkpoint, or is another one.",
		nil,
		func() float64 {
			if s.Checkpoint().Refused {
				return 1
			}
			return 0
		},
	)

	m.gauge(
		"perennial_verify_differences",
		"Differences between the journal and the database that the last check found, in whichever process it was made.",
		nil,
		func() float64 {
			_, n := s.Verified()
			return float64(n)
		},
	)
	m.gauge("perennial_verify_timestamp_seconds", "When the last check ended, in Unix time; 0 before the first.", nil, func() float64 {
		at, _ := s.Verified()
		if at.IsZero() {
			return 0
		}
		return float64(at.Unix())
	})

	m.flags("perennial_held", "1 while billing, messages and what else the server does by itself is held up, by reason.", "reason",
		s.Held, s.IsHeld)

	m.gauge("perennial_commands_waiting", "Commands that wait for the writer; from 4,096 on they are refused.", nil,
		func() float64 { return float64(s.Waiting()) })
	m.commands = m.counters("perennial_commands_total",
		"Commands by outcome: done, unchanged (nothing to change), repeated (the first answer was given again), refused (by a rule), failed.",
		"outcome")
	for _, o := range []string{Done, Unchanged, Repeated, Refused, Failed} {
		m.commands.WithLabelValues(o)
	}
	m.entries = m.counter("perennial_entries_written_total", "Entries that this process wrote.")
	m.batchCommands = m.histogram("perennial_batch_commands", "Commands in one transaction.", prometheus.ExponentialBuckets(1, 2, 11))
	m.batchTime = m.histogram("perennial_commit_duration_seconds", "Time of one transaction: deciding, writing and making durable.",
		prometheus.ExponentialBuckets(0.0005, 2, 15))

	m.requests = m.counters("perennial_http_requests_total", "HTTP requests by method, pattern of the route and status.", "method",
		"route", "status")
	m.requestTime = m.histograms("perennial_http_request_duration_seconds",
		"Time of an HTTP request by method and pattern of the route, until its last byte.", prometheus.DefBuckets, "method", "route")
	m.gauge("perennial_stream_clients", "Clients that follow the journal live.", nil, func() float64 { return float64(s.Streams()) })

	m.due = m.counter("perennial_billing_due_total", "Subscriptions that were found due (an order, a retry, the end of a pause).")
	m.attempts = m.counters("perennial_billing_attempts_total",
		"Answers of the payment gateway by outcome: succeeded, declined, action_required, silent (no answer; it is asked again), refused (because of the shop; it is tried again).",
		"outcome")
	for _, o := range []string{"succeeded", "declined", "action_required", Silent, Refused} {
		m.attempts.WithLabelValues(o)
	}
	m.runs = m.counters("perennial_billing_runs_total", "Looks for what is due by outcome: done, failed, held (see perennial_held).",
		"outcome")
	for _, o := range []string{Done, Failed, Held} {
		m.runs.WithLabelValues(o)
	}
	m.gauge(
		"perennial_billing_last_run_timestamp_seconds",
		"When the last look for what is due ended without a failure, in Unix time; 0 before the first.",
		nil,
		func() float64 {
			return float64(m.lastRun.Load()) / 1000
		},
	)
	return m
}

func (m *Metrics) add(c prometheus.Collector, name, kind, help string, labels ...string) {
	m.reg.MustRegister(c)
	m.list = append(m.list, Described{name, kind, help, labels})
}

func (m *Metrics) gauge(name, help string, labels prometheus.Labels, read func() float64) {
	names := slices.Sorted(maps.Keys(labels))
	m.add(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help, ConstLabels: labels}, read), name, "gauge", help, names...)
}

// flags is a gauge of 0 or 1 for each value of a label.
func (m *Metrics) flags(name, help, label string, values []string, is func(value string) bool) {
	m.list = append(m.list, Described{name, "gauge", help, []string{label}})
	for _, v := range values {
		m.reg.MustRegister(
			prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help, ConstLabels: prometheus.Labels{label: v}}, func() float64 {
				if is(v) {
					return 1
				}
				return 0
			}),
		)
	}
}

// followers is a gauge for each follower.
func (m *Metrics) followers(name, help string, list func() []Follower, value func(f Follower) float64) {
	m.add(perFollower{prometheus.NewDesc(name, help, []string{"follower"}, nil), list, value}, name, "gauge", help, "follower")
}

// taking are the followers that take entries, and so can be behind.
func (s Sources) taking() []Follower {
	return slices.DeleteFunc(s.Followers(), func(f Follower) bool { return f.Lag < 0 })
}

const forgedHelp = "Rows without entries (sessions, links, messages, kept answers) that were not as this program wrote them, or were taken out, each once; anything but 0 is an alarm. None of them had any effect."

// perTable is a counter for each table.
type perTable struct {
	desc *prometheus.Desc
	rows func() map[string]int64
}

// Describe implements prometheus.Collector.
func (p perTable) Describe(to chan<- *prometheus.Desc) { to <- p.desc }

// Collect implements prometheus.Collector.
func (p perTable) Collect(to chan<- prometheus.Metric) {
	for table, n := range p.rows() {
		to <- prometheus.MustNewConstMetric(p.desc, prometheus.CounterValue, float64(n), table)
	}
}

type perFollower struct {
	desc  *prometheus.Desc
	list  func() []Follower
	value func(f Follower) float64
}

// Describe implements prometheus.Collector.
func (p perFollower) Describe(to chan<- *prometheus.Desc) { to <- p.desc }

// Collect implements prometheus.Collector.
func (p perFollower) Collect(to chan<- prometheus.Metric) {
	for _, f := range p.list() {
		to <- prometheus.MustNewConstMetric(p.desc, prometheus.GaugeValue, p.value(f), f.Name)
	}
}

func (m *Metrics) counter(name, help string) prometheus.Counter {
	c := prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	m.add(c, name, "counter", help)
	return c
}

func (m *Metrics) counted(name, help string, read func() float64) {
	m.add(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, read), name, "counter", help)
}

func (m *Metrics) counters(name, help string, labels ...string) *prometheus.CounterVec {
	c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	m.add(c, name, "counter", help, labels...)
	return c
}

func (m *Metrics) histogram(name, help string, buckets []float64) prometheus.Histogram {
	h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets})
	m.add(h, name, "histogram", help)
	return h
}

func (m *Metrics) histograms(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	h := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, labels)
	m.add(h, name, "histogram", help, labels...)
	return h
}

// List is every metric of ours, in the order in which they are documented.
func (m *Metrics) List() []Described { return m.list }

// Handler answers a scrape.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.reg, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError})
}

// Batch counts one transaction: its commands by outcome, the entries that they made, and how long it took.
func (m *Metrics) Batch(outcomes map[string]int, entries int, took time.Duration) {
	all := 0
	for o, n := range outcomes {
		m.commands.WithLabelValues(o).Add(float64(n))
		all += n
	}
	m.entries.Add(float64(entries))
	m.batchCommands.Observe(float64(all))
	m.batchTime.Observe(took.Seconds())
}

// Request counts an answered HTTP request. Methods that HTTP does not know, and addresses that no route has, are counted
// as "other".
func (m *Metrics) Request(method, route string, status int, took time.Duration) {
	method, route = Known(method), Route(route)
	m.requests.WithLabelValues(method, route, strconv.Itoa(status)).Inc()
	m.requestTime.WithLabelValues(method, route).Observe(took.Seconds())
}

// Known is a method of HTTP, or "other".
func Known(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return method
	}
	return "other"
}

// Route is the path of a route's pattern, or "other" for none.
func Route(pattern string) string {
	if _, path, ok := strings.Cut(pattern, " "); ok {
		pattern = path
	}
	if pattern == "" {
		return "other"
	}
	return pattern
}

// Due counts subscriptions that were found due.
func (m *Metrics) Due(n int) { m.due.Add(float64(n)) }

// Attempt counts an answer of the payment gateway.
func (m *Metrics) Attempt(outcome string) { m.attempts.WithLabelValues(outcome).Inc() }

// BillingHeld notes that a look for what is due was held up.
func (m *Metrics) BillingHeld() { m.runs.WithLabelValues(Held).Inc() }

// BillingRun notes that a look for what is due has ended.
func (m *Metrics) BillingRun(at time.Time, err error) {
	if err != nil {
		m.runs.WithLabelValues(Failed).Inc()
		return
	}
	m.runs.WithLabelValues(Done).Inc()
	m.lastRun.Store(at.UnixMilli())
}
