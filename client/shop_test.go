package client_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	"perennial/client"
	"perennial/internal/auth"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/payment/simulated"
	"perennial/internal/program"
	"perennial/internal/server"
	"perennial/internal/settings"
	"perennial/internal/team"
	testshop "perennial/internal/test/shop"
)

// shop is a real server on a port of its own, which can be stopped and started again.
type shop struct {
	config server.Config
	server *server.Server
	key    string
}

func newShop(dir, database string) (*shop, error) {
	s := &shop{config: server.Config{Data: dir, Database: database, Clock: time.Now, Log: slog.New(slog.DiscardHandler), Relaxed: true, Listen: "127.0.0.1:0"}}
	if err := s.start(); err != nil {
		return nil, err
	}
	s.config.Listen = s.server.Addr
	for _, d := range settings.Defaults("Test shop", "Europe/Berlin", "EUR") {
		if err := s.run(journal.Bind(settings.Update{Document: d})); err != nil {
			return nil, err
		}
	}
	var err error
	s.key, err = s.newKey(team.Everything().List()...)
	return s, err
}

func (s *shop) start() error {
	i, err := server.Open(context.Background(), s.config)
	if err == nil {
		s.server, err = server.Start(context.Background(), i, simulated.New(time.Now, simulated.Options{}), nil, nil)
	}
	return err
}

func (s *shop) stop() error { return s.server.Stop(context.Background()) }

func (s *shop) run(c journal.Command) error {
	meta := program.Meta{Actor: journal.Actor{Kind: journal.ActorSystem, ID: "test"}, Source: journal.Origin{Channel: journal.ChannelCLI}}
	_, err := s.server.Program.Do(context.Background(), &program.Request{Meta: meta, Command: c})
	return err
}

func (s *shop) newKey(permissions ...team.Permission) (string, error) {
	key := s.server.IDs.New(id.APIKey)
	text, hash := auth.NewAPIKey(key)
	return text, s.run(journal.Bind(team.CreateKey{ID: key, Name: "Test key", Permissions: permissions, Hash: hash, Actor: journal.Actor{Kind: journal.ActorSystem, ID: "test"}}))
}

func (s *shop) client() *client.Client { return client.New("http://"+s.config.Listen, s.key) }

// openShop starts a shop for a test, on the engine of the test.
func openShop(t *testing.T) *shop {
	t.Helper()
	dir := t.TempDir()
	s, err := newShop(dir, testshop.URL(t, dir))
	must(t, err)
	t.Cleanup(func() { must(t, s.stop()) })
	return s
}

// The examples share one shop.
var (
	example     *shop
	exampleOnce sync.Once
)

// connect gives a client of the examples' shop.
func connect() *client.Client {
	exampleOnce.Do(func() {
		dir, err := os.MkdirTemp("", "perennial-client-")
		if err == nil {
			example, err = newShop(dir, "")
		}
		if err != nil {
			panic(err)
		}
	})
	return example.client()
}

func TestMain(m *testing.M) {
	code := m.Run()
	if example != nil {
		if err := errors.Join(example.stop(), os.RemoveAll(example.config.Data)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
