package db

import (
	"context"
	"database/sql"
	"errors"
	"sync"
)

// Prepared runs statements of one pool or connection, each text prepared once: parsing an INSERT with its triggers
// costs more than running it. It is for texts from a small closed set.
type Prepared struct {
	on interface {
		PrepareContext(ctx context.Context, query string) (*sql.Stmt, error)
	}
	mu    sync.RWMutex
	stmts map[string]*sql.Stmt // guarded by mu
}

// NewPrepared prepares on a pool.
func NewPrepared(pool *sql.DB) *Prepared { return &Prepared{on: pool, stmts: map[string]*sql.Stmt{}} }

// NewPreparedConn prepares on one connection.
func NewPreparedConn(c *sql.Conn) *Prepared { return &Prepared{on: c, stmts: map[string]*sql.Stmt{}} }

func (p *Prepared) stmt(ctx context.Context, query string) (*sql.Stmt, error) {
	p.mu.RLock()
	s := p.stmts[query]
	p.mu.RUnlock()
	if s != nil {
		return s, nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.stmts[query]; s != nil {
		return s, nil
	}
	s, err := p.on.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	p.stmts[query] = s
	return s, nil
}

// ExecContext runs a statement.
func (p *Prepared) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	s, err := p.stmt(ctx, query)
	if err != nil {
		return nil, err
	}
	return s.ExecContext(ctx, args...)
}

// QueryContext implements Querier.
func (p *Prepared) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	s, err := p.stmt(ctx, query)
	if err != nil {
		return nil, err
	}
	return s.QueryContext(ctx, args...)
}

// QueryRowContext implements Querier.
func (p *Prepared) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	s, err := p.stmt(ctx, query)
	if err != nil {
		return failedRow(ctx, p, query, args)
	}
	return s.QueryRowContext(ctx, args...)
}

// failedRow gives a Row that carries the error of preparing: only a query can make one.
func failedRow(ctx context.Context, p *Prepared, query string, args []any) *sql.Row {
	switch on := p.on.(type) {
	case *sql.DB:
		return on.QueryRowContext(ctx, query, args...)
	case *sql.Conn:
		return on.QueryRowContext(ctx, query, args...)
	}
	panic("db: nothing to prepare on")
}

// Close closes the statements.
func (p *Prepared) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var errs []error
	for _, s := range p.stmts {
		errs = append(errs, s.Close())
	}
	clear(p.stmts)
	return errors.Join(errs...)
}
