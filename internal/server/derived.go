package server

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"perennial/internal/analytics"
	"perennial/internal/audit"
	"perennial/internal/find"
	"perennial/internal/id"
	"perennial/internal/store"
)

const (
	indexName   = "the index of the logs"
	figuresName = "the figures"
	anewWords   = " belongs to another journal or another version, and the next start makes it anew"
)

// comparison is what came of comparing something derived.
type comparison struct {
	foreign  bool  // it belongs to another journal or version
	have, of int64 // entries that it follows, of all
	covered  string
	beside   string // what was not looked at in what it has
}

func derivedOf(name, notYet string, compare func(ctx context.Context, deep bool, wrong func(audit.Problem)) (comparison, error)) audit.Derived {
	return audit.Derived{Name: name, Compare: func(ctx context.Context, deep bool, wrong func(audit.Problem)) (covered, missed string, err error) {
		c, err := compare(ctx, deep, wrong)
		if err != nil {
			return "", "", err
		}
		if c.foreign {
			return "", name + anewWords, nil
		}
		var not []string
		if c.have < c.of {
			not = append(not, fmt.Sprintf("the newest %d of %d entries in %s: they are not %s yet", c.of-c.have, c.of, name, notYet))
		}
		if c.have == 0 {
			return "", strings.Join(not, "; "), nil
		}
		if c.beside != "" {
			not = append(not, c.beside)
		}
		return c.covered, strings.Join(not, "; "), nil
	}}
}

// indexOf compares the index of the logs, or a sample of it and what gaps name, with the entries and people that it leads to. found is
// told of entries that it lacks; nil for nobody.
func indexOf(f *find.Finder, gaps []int64, found func(seq int64)) audit.Derived {
	return derivedOf(indexName, "written into it", func(ctx context.Context, deep bool, wrong func(audit.Problem)) (comparison, error) {
		c, err := f.Compare(ctx, deep, gaps, func(seq int64, key id.ID, lacks string) {
			if found != nil && key.Prefix() == id.EventPrefix {
				found(seq)
			}
			wrong(audit.Problem{Seq: seq, ID: string(key), Field: "index of the logs", Detail: "it is not found by " + lacks + ": run perennial reindex"})
		})
		return comparison{foreign: c.Foreign, have: c.Indexed, of: c.Of, covered: fmt.Sprintf("%s, for %d entries and %d people%s", indexName, c.Entries, c.People, sampled(deep))}, err
	})
}

// figuresOf counts again what the figures of the reports count, or a sample of it.
func figuresOf(a *analytics.Analytics) audit.Derived {
	return derivedOf(figuresName, "counted", func(ctx context.Context, deep bool, wrong func(audit.Problem)) (comparison, error) {
		c, err := a.Compare(ctx, deep, func(seq int64, key, detail string) {
			wrong(audit.Problem{Seq: seq, ID: key, Field: "figures of the reports", Detail: detail + ": run perennial reindex"})
		})
		out := comparison{foreign: c.Foreign, have: c.Entries, of: c.Of, covered: figuresName + ", counted again from all entries"}
		if !c.All {
			out.covered = fmt.Sprintf("%s: the sums against their lists of entries, %d subscriptions and the sales of %d days counted again", figuresName, c.Subscriptions, c.Days)
			out.beside = "of the figures the sums without a list of entries (running, paused and recovering subscriptions, cohorts, orders to come), and other subscriptions and days: verify --deep counts all again"
		}
		return out, err
	})
}

func sampled(deep bool) string {
	if deep {
		return ""
	}
	return ", a sample"
}

// derivedIn gives what is derived beside a database that is only read: of a PostgreSQL in its tables, else in files of the data folder,
// which a server may be writing. done closes them.
func derivedIn(ctx context.Context, s *store.Store, c Config) (list []audit.Derived, done func()) {
	var open []func() error
	done = func() {
		for _, f := range open {
			_ = f() // they were only read
		}
	}
	// what cannot be opened is said in its place
	said := func(name, file string, err error) audit.Derived {
		return audit.Derived{Name: name, Compare: func(context.Context, bool, func(audit.Problem)) (covered, missed string, _ error) {
			if err != nil {
				return "", "", err
			}
			return "", name + ": there is no " + file + " of this version, and the next start makes it", nil
		}}
	}
	f, err := find.OpenReadOnly(ctx, s, filepath.Join(c.Data, indexFile))
	if f == nil {
		list = append(list, said(indexName, indexFile, err))
	} else {
		open = append(open, func() error { return f.Close(context.WithoutCancel(ctx)) })
		list = append(list, indexOf(f, nil, nil))
	}
	a, err := analytics.OpenReadOnly(ctx, s, filepath.Join(c.Data, figuresFile))
	if a == nil {
		list = append(list, said(figuresName, figuresFile, err))
	} else {
		open = append(open, a.Close)
		list = append(list, figuresOf(a))
	}
	return list, done
}

// The files of what is derived, in the data folder.
const (
	indexFile   = "find.db"
	figuresFile = "analytics.db"
)
