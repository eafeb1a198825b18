package main

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"sync/atomic"
	"time"

	"github.com/transparency-dev/tessera"
	"github.com/transparency-dev/tessera/api"
	"github.com/transparency-dev/tessera/storage/posix"
	"golang.org/x/mod/sumdb/note"
	"k8s.io/klog/v2"
)

// tesseraLog is Tessera's log on files. An entry counts as written when it is in the tree and on the disk; that it is published
// in a checkpoint is not waited for.
type tesseraLog struct {
	dir    string
	signer note.Signer
	reader tessera.LogReader // since the log was filled
	size   atomic.Int64
}

const (
	tesseraAge    = 2 * time.Millisecond // that an entry waits for others at most; 250 ms unless told
	tesseraWindow = 4096                 // entries under way while filling
)

func openTessera(_ context.Context, dir string) (peer, error) {
	klog.LogToStderr(false)
	klog.SetOutput(io.Discard)
	private, _, err := note.GenerateKey(rand.Reader, "peers")
	if err != nil {
		return nil, err
	}
	signer, err := note.NewSigner(private)
	return &tesseraLog{dir: dir, signer: signer}, err
}

// appender opens the log with batches of so many entries: a batch is written as soon as all callers wait for it.
func (l *tesseraLog) appender(ctx context.Context, batch int) (*tessera.Appender, tessera.LogReader, func() error, error) {
	d, err := posix.New(ctx, posix.Config{Path: l.dir})
	if err != nil {
		return nil, nil, nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	a, stop, r, err := tessera.NewAppender(ctx, d, tessera.NewAppendOptions().WithCheckpointSigner(l.signer).WithBatching(uint(batch), tesseraAge).
		WithCheckpointInterval(200*time.Millisecond).WithPushback(2*tesseraWindow))
	if err != nil {
		cancel()
		return nil, nil, nil, err
	}
	return a, r, func() error {
		defer cancel()
		return stop(ctx)
	}, nil
}

// Fill implements peer.
func (l *tesseraLog) Fill(ctx context.Context, entries int64) error {
	a, r, end, err := l.appender(ctx, tesseraWindow/4)
	if err != nil {
		return err
	}
	l.reader = r
	var waiting []tessera.IndexFuture
	for l.size.Load() < entries && err == nil {
		n := l.size.Add(1)
		waiting = append(waiting, a.Add(ctx, tessera.NewEntry(entry(n, int(n%subjects), at(n, entries)))))
		if len(waiting) == tesseraWindow || l.size.Load() == entries {
			for _, f := range waiting {
				if _, e := f(); e != nil {
					err = e
				}
			}
			waiting = waiting[:0]
		}
	}
	return errors.Join(err, end())
}

// Writer implements peer.
func (l *tesseraLog) Writer(ctx context.Context, callers int) (func(context.Context, int, int) error, func() error, error) {
	a, _, end, err := l.appender(ctx, callers)
	if err != nil {
		return nil, nil, err
	}
	return func(ctx context.Context, caller, n int) error {
		_, err := a.Add(ctx, tessera.NewEntry(entry(l.size.Add(1), subject(callers, caller, n), time.Now())))()
		return err
	}, end, nil
}

// Read implements peer. There is no index: it reads the entries from the newest back.
func (l *tesseraLog) Read(ctx context.Context, q question) (found int, err error) {
	size, err := l.reader.IntegratedSize(ctx)
	if err != nil {
		return 0, err
	}
	for last := int64(size) - 1; last >= 0 && found < q.limit(); last -= last%256 + 1 {
		partial := uint8(0)
		if uint64(last)/256 == size/256 {
			partial = uint8(size % 256)
		}
		b, err := l.reader.ReadEntryBundle(ctx, uint64(last)/256, partial)
		if err != nil {
			return found, err
		}
		var bundle api.EntryBundle
		if err := bundle.UnmarshalText(b); err != nil {
			return found, err
		}
		for _, e := range bundle.Entries {
			if q.matches(e) {
				found++
			}
		}
	}
	return min(found, q.limit()), nil
}

// Close implements peer.
func (l *tesseraLog) Close() error { return nil }
