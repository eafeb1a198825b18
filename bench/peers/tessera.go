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
	tuned  bool
	reader tessera.LogReader // since the log was filled
	size   atomic.Int64
}

const (
	tesseraAge    = 2 * time.Millisecond // that an entry waits for others at most, when tuned
	tesseraWindow = 4096                 // entries under way while filling
)

func openTessera(dir string, tuned bool) (peer, error) { //nolint:revive // two peers, one difference
	klog.LogToStderr(false)
	klog.SetOutput(io.Discard)
	private, _, err := note.GenerateKey(rand.Reader, "peers")
	if err != nil {
		return nil, err
	}
	signer, err := note.NewSigner(private)
	return &tesseraLog{dir: dir, signer: signer, tuned: tuned}, err
}

// appender opens the log. When batch is not 0, a batch is written as soon as so many entries wait for it.
func (l *tesseraLog) appender(ctx context.Context, batch uint) (*tessera.Appender, tessera.LogReader, func() error, error) {
	d, err := posix.New(ctx, posix.Config{Path: l.dir})
	if err != nil {
		return nil, nil, nil, err
	}
	o := tessera.NewAppendOptions().WithCheckpointSigner(l.signer).WithCheckpointInterval(200 * time.Millisecond).WithPushback(2 * tesseraWindow)
	if batch > 0 {
		o = o.WithBatching(batch, tesseraAge)
	}
	ctx, cancel := context.WithCancel(ctx)
	a, stop, r, err := tessera.NewAppender(ctx, d, o)
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
		waiting = append(waiting, a.Add(ctx, tessera.NewEntry(entry(n, int(n%subjects)))))
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
	batch := uint(0)
	if l.tuned {
		batch = uint(callers)
	}
	a, _, end, err := l.appender(ctx, batch)
	if err != nil {
		return nil, nil, err
	}
	return func(ctx context.Context, caller, n int) error {
		_, err := a.Add(ctx, tessera.NewEntry(entry(l.size.Add(1), subject(callers, caller, n))))()
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
