package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"perennial/internal/db"
	"perennial/internal/id"
	"perennial/internal/journal"
)

// Several processes on one PostgreSQL share the work by rows that run out, so that what a process had in hand when it died is
// taken over within seconds. Times are the database's own. An embedded database has one process, to which everything belongs.
//
// Nothing is held for longer than longestLease or longestClaim: a row that says so was not written by this program, and whoever reads it
// takes it for one that ran out.

const (
	longestLease = 2 * time.Minute
	longestClaim = 2 * time.Minute
)

// longest is for how long a job is held at most.
func longest(job string) time.Duration {
	if job == Reconciliation {
		return time.Hour
	}
	return longestLease
}

// Reconciliation is the job of the day's comparison with the gateway, which takes longer than others.
const Reconciliation = "reconciliation"

// Shared says whether several processes may have the shop open.
func (s *Store) Shared() bool { return s.DB.Engine == db.Postgres }

// within keeps a while to what readers believe.
func within(while, longest time.Duration) int64 { return min(while, longest).Milliseconds() }

// Lease takes or keeps a job that one process does at a time, for a while. It is false while another has it.
func (s *Store) Lease(ctx context.Context, job, holder string, while time.Duration) (bool, error) {
	if s.DB.Engine != db.Postgres {
		return true, nil
	}
	done, err := s.DB.Writer.ExecContext(ctx,
		`INSERT INTO lease (shop_id, name, holder, until) VALUES ($1, $2, $3, clock_timestamp() + $4 * interval '1 millisecond')
		ON CONFLICT (shop_id, name) DO UPDATE SET holder = excluded.holder, until = excluded.until WHERE lease.holder = excluded.holder OR lease.until < clock_timestamp() OR lease.until > clock_timestamp() + $5 * interval '1 millisecond'`,
		s.Shop, job, holder, within(while, longest(job)), longest(job).Milliseconds())
	if err != nil {
		return false, db.Fault(err)
	}
	n, err := done.RowsAffected()
	return n > 0, db.Fault(err)
}

// Yield gives a job back before its lease runs out.
func (s *Store) Yield(ctx context.Context, job, holder string) error {
	if s.DB.Engine != db.Postgres {
		return nil
	}
	_, err := s.DB.Writer.ExecContext(ctx, `DELETE FROM lease WHERE shop_id = $1 AND name = $2 AND holder = $3`, s.Shop, job, holder)
	return db.Fault(err)
}

// Alive says every few seconds that a process lives, until the context ends, and gives back then what it has. What it has in
// hand goes to the others a few seconds after it died.
func (s *Store) Alive(ctx context.Context, holder string) error {
	const beat, while = 2 * time.Second, 8 * time.Second
	t := time.NewTicker(beat)
	defer t.Stop()
	var err error
	for ctx.Err() == nil {
		_, err = s.Lease(ctx, "process "+holder, holder, while)
		select {
		case <-ctx.Done():
		case <-t.C:
		}
	}
	return errors.Join(err, s.Release(context.WithoutCancel(ctx), holder))
}

// Release gives back everything that a process has.
func (s *Store) Release(ctx context.Context, holder string) error {
	if s.DB.Engine != db.Postgres {
		return nil
	}
	for _, text := range []string{`DELETE FROM lease WHERE shop_id = $1 AND holder = $2`, `DELETE FROM claim WHERE shop_id = $1 AND holder = $2`} {
		if _, err := s.DB.Writer.ExecContext(ctx, text, s.Shop, holder); err != nil {
			return db.Fault(err)
		}
	}
	return nil
}

// Claim lists rows of a kind like List, and takes them in hand for a while: no other process gets them before they are given back by
// Unclaim, the while is over, or the holder has no lease any more (see Alive). Rows that another process has, or is just writing,
// are left out. where ends with an order and a limit, as text.
func (s *Store) Claim(
	ctx context.Context,
	kind journal.Kind,
	holder string,
	while time.Duration,
	where, order string,
	limit int,
	args ...any,
) ([]Row, error) {
	if s.DB.Engine != db.Postgres {
		return s.List(ctx, s.Read, kind, fmt.Sprintf("%s ORDER BY %s LIMIT %d", where, order, limit), args...)
	}
	n := len(args) + 1
	var ids []any
	err := db.Each(ctx, s.DB.Writer, func(r *sql.Rows) error {
		var key id.ID
		err := r.Scan(&key)
		ids = append(ids, key)
		return err
	}, fmt.Sprintf(`WITH due AS (SELECT id FROM %[1]s t WHERE shop_id = $1 AND %[2]s AND %[3]s ORDER BY %[4]s LIMIT %[5]d FOR NO KEY UPDATE SKIP LOCKED)
		INSERT INTO claim (shop_id, job, id, holder, until) SELECT $1, '%[6]s', id, $%[7]d, clock_timestamp() + $%[8]d * interval '1 millisecond' FROM due
		ON CONFLICT (shop_id, job, id) DO UPDATE SET holder = excluded.holder, until = excluded.until
		RETURNING id`, quoted(kind), where, s.Free(kind, "id", fmt.Sprintf("$%d", n+1)), order, limit, kind, n+1, n+2),
		append(append([]any{s.Shop}, args...), holder, within(while, longestClaim))...)
	if err != nil || len(ids) == 0 {
		return nil, db.Fault(err)
	}
	return s.List(ctx, s.DB.Reader, kind, fmt.Sprintf("id IN (%s) ORDER BY %s", db.Placeholders(2, len(ids)), order), ids...)
}

// Free is the condition, for rows of the table t, that no other living process has in hand what a column of theirs names. holder is the
// placeholder of who asks.
func (s *Store) Free(kind journal.Kind, column, holder string) string {
	until := func(row string, longest time.Duration) string {
		return fmt.Sprintf(`%[1]s.until > clock_timestamp() AND %[1]s.until <= clock_timestamp() + interval '%[2]d milliseconds'`, row,
			longest.Milliseconds())
	}
	return fmt.Sprintf(`NOT EXISTS (SELECT 1 FROM claim c WHERE c.shop_id = $1 AND c.job = '%s' AND c.id = t.%s AND c.holder <> %s AND %s
		AND EXISTS (SELECT 1 FROM lease l WHERE l.shop_id = $1 AND l.holder = c.holder AND %s))`, kind, column, holder, until("c", longestClaim), until("l", longestLease))
}

// Unclaim gives back what a process has in hand of a kind.
func (s *Store) Unclaim(ctx context.Context, kind journal.Kind, holder string) error {
	if s.DB.Engine != db.Postgres {
		return nil
	}
	_, err := s.DB.Writer.ExecContext(ctx, `DELETE FROM claim WHERE shop_id = $1 AND job = $2 AND holder = $3`, s.Shop, kind, holder)
	return db.Fault(err)
}
