package server

import (
	"context"
	"fmt"
	"path/filepath"

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

// indexOf compares the index of the logs, or a sample of it, with the entries and people that it leads to.
func indexOf(f *find.Finder) audit.Derived {
	return audit.Derived{Name: indexName, Compare: func(ctx context.Context, deep bool, wrong func(audit.Problem)) (covered, missed string, err error) {
		c, err := f.Compare(ctx, deep, func(seq int64, key id.ID, lacks string) {
			wrong(audit.Problem{Seq: seq, ID: string(key), Field: "index of the logs", Detail: "it is not found by " + lacks + ": run perennial reindex"})
		})
		switch {
		case err != nil:
			return "", "", err
		case c.Foreign:
			return "", indexName + anewWords, nil
		case c.Indexed < c.Of:
			missed = fmt.Sprintf("the newest %d of %d entries in %s: they are not written into it yet", c.Of-c.Indexed, c.Of, indexName)
		}
		if c.Indexed == 0 {
			return "", missed, nil
		}
		return fmt.Sprintf("%s, for %d entries and %d people%s", indexName, c.Entries, c.People, sampled(deep)), missed, nil
	}}
}

// figuresOf counts again what the figures of the reports count, or a sample of it.
func figuresOf(a *analytics.Analytics) audit.Derived {
	return audit.Derived{Name: figuresName, Compare: func(ctx context.Context, deep bool, wrong func(audit.Problem)) (covered, missed string, err error) {
		c, err := a.Compare(ctx, deep, func(seq int64, key, detail string) {
			wrong(audit.Problem{Seq: seq, ID: key, Field: "figures of the reports", Detail: detail + ": run perennial reindex"})
		})
		switch {
		case err != nil:
			return "", "", err
		case c.Foreign:
			return "", figuresName + anewWords, nil
		case c.Entries < c.Of:
			missed = fmt.Sprintf("the newest %d of %d entries in %s: they are not counted yet", c.Of-c.Entries, c.Of, figuresName)
		}
		if c.Entries == 0 {
			return "", missed, nil
		}
		if c.All {
			return fmt.Sprintf("%s, counted again from all entries", figuresName), missed, nil
		}
		if missed != "" {
			missed += "; "
		}
		missed += "of the figures the sums without a list of entries (running, paused and recovering subscriptions, cohorts, orders to come), and other subscriptions and days: verify --deep counts all again"
		return fmt.Sprintf("%s: the sums against their lists of entries, %d subscriptions and the sales of %d days counted again", figuresName, c.Subscriptions, c.Days), missed, nil
	}}
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
		list = append(list, indexOf(f))
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
