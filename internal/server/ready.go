package server

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"syscall"
	"time"

	"perennial/internal/access"
	"perennial/internal/audit"
	"perennial/internal/fault"
	"perennial/internal/gate"
	"perennial/internal/observe"
	"perennial/internal/store"
)

// What /readyz goes by.
const (
	readyWithin = 2 * time.Second // for the database's answer
	lagLimit    = 100_000         // entries; a search indexes what is missing first, and would take seconds
	failsLong   = time.Minute     // of failing after which a follower is a warning
	diskLow     = 1 << 30         // bytes free on the volume of the data folder, below which it warns
	diskFull    = 32 << 20        // and below which nothing more should be sent here
)

// reason is why a server is not ready, or will not be for long.
type reason struct {
	Code   string `json:"code"`
	Detail string `json:"detail"`
}

// readiness is what /readyz says.
type readiness struct {
	Ready    bool     `json:"ready"`
	Head     int64    `json:"head"`    // the last committed seq, -1 for none
	Indexed  int64    `json:"indexed"` // the last indexed seq
	Reasons  []reason `json:"reasons"`
	Warnings []reason `json:"warnings"`
}

// ready looks at everything that could keep the server from its work.
func (s *Server) ready(ctx context.Context) readiness {
	r := readiness{Head: s.Program.Head(), Indexed: s.Finder.Indexed() - 1, Reasons: []reason{}, Warnings: []reason{}}
	not := func(code, format string, args ...any) {
		r.Reasons = append(r.Reasons, reason{code, fmt.Sprintf(format, args...)})
	}
	if s.stopping.Load() {
		not("stopping", "The server is stopping.")
		return r
	}
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	head, err := s.Store.ReadHead(ctx, s.Store.Read)
	switch f := fault.As(store.Fault(err)); {
	case err != nil && f.Code == "cancelled":
		not("database_silent", "The database did not answer within %s.", readyWithin)
	case err != nil:
		not(f.Code, "%s", f.Public)
	default:
		r.Head = head.Seq
		s.Gate.Wrote(head.RecordedAt)
	}
	if lag := r.Head - r.Indexed; lag > lagLimit {
		not("index_behind", "The index is %d entries behind.", lag)
	}
	if g := s.signing.Load(); g != nil && g.err != nil {
		f := fault.As(g.err)
		if !g.last.Refused && !gate.Held(g.err) { // else the gate says why
			r.Warnings = append(r.Warnings, reason{"checkpoint_failed", "The last checkpoint could not be signed: " + f.Public})
		}
	}
	for _, h := range s.Gate.Reasons() {
		x := reason{h.Code, fmt.Sprintf("%s (Since %s.)", h.Sentence, h.Since.Format("2 January 2006, 15:04:05"))}
		if h.Warning {
			r.Warnings = append(r.Warnings, x)
		} else {
			r.Reasons = append(r.Reasons, x)
		}
	}
	for _, f := range s.followers.Figures() {
		if !f.Since.IsZero() && s.Program.Now().Sub(f.Since) >= failsLong {
			r.Warnings = append(r.Warnings, reason{"follower_failing", fmt.Sprintf("What follows the journal as %s fails at each try since %s%s: %s",
				f.Name, f.Since.UTC().Format("2 January 2006, 15:04:05"), lagWords(f.Lag), publicly(f.Err))})
		}
	}
	if tables := s.Store.ForgedTables(); len(tables) > 0 {
		r.Warnings = append(r.Warnings, reason{"forged_rows", fmt.Sprintf("Since the start there were rows of %s that this program did not write so. They had no effect. Find out who can write to the database, and run perennial verify.",
			strings.Join(tables, ", "))})
	}
	if past, err := s.pastChecks(ctx); err == nil {
		r.Warnings = append(r.Warnings, checkWarnings(past)...)
	}
	if free, ok := freeBytes(s.Config.Data); ok && free < diskFull {
		not("disk_full", "The volume of the data folder has %d MiB left.", free>>20)
	} else if ok && free < diskLow {
		r.Warnings = append(r.Warnings, reason{"disk_low", fmt.Sprintf("The volume of the data folder has %d MiB left.", free>>20)})
	}
	r.Ready = len(r.Reasons) == 0
	return r
}

// publicly is an error as anybody may read it: /readyz needs no key.
func publicly(err error) string {
	if f := fault.As(err); f.Kind != fault.Internal {
		return f.Public
	}
	return "the log says why."
}

// checkWarnings says what the last check of the whole journal came to, by whomever and in whichever process it was made.
func checkWarnings(past audit.PastChecks) (out []reason) {
	const at = "2 January 2006, 15:04"
	if p := past.Doubt; p != nil {
		out = append(out, reason{"verify_differs", fmt.Sprintf("The check of %s found %d differences between the journal and the database, the first at %s, field %s. Run perennial verify.",
			p.At.UTC().Format(at), p.Differences, p.Problem.ID, p.Problem.Field)})
	}
	if n := past.Gaps.Count(); n > 0 {
		out = append(out, reason{"log_gaps", fmt.Sprintf("Since %s logs were without %d entries that a chain names. Run perennial reindex and perennial verify.", past.Gaps.Since.UTC().Format(at), n)})
	}
	if p := past.Last; p != nil && p.Result == observe.Unfinished {
		out = append(out, reason{"verify_unfinished", fmt.Sprintf("The check of %s could not be finished: the log says why. Run perennial verify.", p.At.UTC().Format(at))})
	}
	return out
}

func freeBytes(dir string) (uint64, bool) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return 0, false
	}
	return st.Bavail * uint64(st.Bsize), true
}

// operations registers the addresses for whoever runs the server: they are answered also while it stops, and whatever the
// pages do. Not every scrape may see the figures: see nearby.
func (s *Server) operations(mux *access.Mux, withMetrics bool) {
	anyone := func(pattern string, h http.HandlerFunc) {
		mux.Handle(access.Route{Pattern: pattern, Who: access.Anyone}, h)
	}
	anyone("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	anyone("GET /readyz", func(w http.ResponseWriter, r *http.Request) { writeReadiness(w, r, s.ready(r.Context())) })
	if !withMetrics {
		anyone("GET /metrics", http.NotFound)
		return
	}
	figures := s.metrics.Handler()
	mux.Handle(access.Route{Pattern: "GET /metrics", Who: access.Operator}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.MetricsAddr == "" && !nearby(r) {
			http.NotFound(w, r)
			return
		}
		figures.ServeHTTP(w, r)
	}))
}

// nearby says that a request comes from this machine or a private network, and was passed on by nobody: a proxy that brings
// in the internet says so in a header.
func nearby(r *http.Request) bool {
	for _, h := range []string{"Forwarded", "X-Forwarded-For", "X-Real-Ip", "Via"} {
		if r.Header.Get(h) != "" {
			return false
		}
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	ip = ip.Unmap()
	return err == nil && (ip.IsLoopback() || ip.IsPrivate() || ip.IsLinkLocalUnicast())
}

func writeReadiness(w http.ResponseWriter, r *http.Request, is readiness) {
	w.Header().Set("Cache-Control", "no-store")
	status := http.StatusOK
	if !is.Ready {
		status = http.StatusServiceUnavailable
	}
	if strings.Contains(r.Header.Get("Accept"), "application/json") {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(is) //nolint:errchkjson // the client is gone
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	word := "ready"
	if !is.Ready {
		word = "not ready"
	}
	fmt.Fprintf(w, "%s\nhead %d\nindexed %d\n", word, is.Head, is.Indexed)
	for _, x := range is.Reasons {
		fmt.Fprintf(w, "%s: %s\n", x.Code, x.Detail)
	}
	for _, x := range is.Warnings {
		fmt.Fprintf(w, "warning %s: %s\n", x.Code, x.Detail)
	}
}

// lagWords says how far a follower is, where that is known.
func lagWords(lag int64) string {
	if lag < 0 {
		return ""
	}
	return fmt.Sprintf(", and is %d entries behind", lag)
}
