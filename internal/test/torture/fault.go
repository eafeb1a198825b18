package torture

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// scenarios are what is played, in this order.
func scenarios(short bool) []scenario {
	kills, few, gone := 20, 3, 10*time.Second
	if short {
		kills, few, gone = 2, 1, time.Second
	}
	return []scenario{
		{name: "sqlite kill", rounds: []round{
			{"kill -9 of the server", kills, killServer},
			{"stopped and continued", few, freezeServer(time.Second)},
		}},
		{name: "sqlite power", env: []string{powerVariable}, rounds: []round{{"power cut", 2 * few, losePower}}},
		{name: "sqlite clock", env: []string{clockVariable}, rounds: []round{{"an hour back and forth", few, moveClock}}},
		{name: "postgres kill", postgres: true, rounds: []round{
			{"kill -9 of the server", kills, killServer},
			{"kill -9 of PostgreSQL", few, killPostgres},
			{fmt.Sprintf("the database gone for %v", gone), 1, stopPostgres(gone)},
		}},
		{name: "postgres two servers", postgres: true, servers: 2, rounds: []round{
			{"kill -9 of one of two servers", 2 * few, killServer},
			{"kill -9 of PostgreSQL", 1, killPostgres},
			{"one of two stopped for a while", few, freezeServer(2 * time.Second)},
		}},
	}
}

// killServer kills one server. The others go on for a while without it.
func killServer(ctx context.Context, r *run) error {
	r.servers[r.rng.IntN(len(r.servers))].kill()
	if len(r.servers) > 1 {
		pause(ctx, 500*time.Millisecond)
	}
	return nil
}

// freezeServer stops a server for a while and lets it go on, as a machine that is short of memory does.
func freezeServer(d time.Duration) fault {
	return func(ctx context.Context, r *run) error {
		p := r.servers[r.rng.IntN(len(r.servers))]
		if err := p.signal(syscall.SIGSTOP); err != nil {
			return err
		}
		pause(ctx, d)
		if err := p.signal(syscall.SIGCONT); err != nil {
			return err
		}
		pause(ctx, 300*time.Millisecond)
		return nil
	}
}

// moveClock puts the server's clock an hour back, two hours forth, and right again, and kills the server in between.
func moveClock(ctx context.Context, r *run) error {
	for _, d := range []time.Duration{-time.Hour, time.Hour, 0} {
		if err := r.setClock(d); err != nil {
			return err
		}
		pause(ctx, 300*time.Millisecond)
	}
	if err := r.setClock(-time.Hour); err != nil { // it starts again in the past
		return err
	}
	return killServer(ctx, r)
}

func (r *run) setClock(d time.Duration) error {
	path := filepath.Join(r.dir, "clock")
	if err := os.WriteFile(path+".new", []byte(d.String()), 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// killPostgres kills the database and starts it again.
func killPostgres(_ context.Context, r *run) error {
	if err := r.pg.Kill(); err != nil {
		return err
	}
	return r.pg.Again()
}

// stopPostgres takes the database away for a while. The server has to do without, and to go on when it is back.
func stopPostgres(d time.Duration) fault {
	return func(ctx context.Context, r *run) error {
		if err := r.pg.Halt(); err != nil {
			return err
		}
		pause(ctx, d)
		if err := r.pg.Again(); err != nil {
			return err
		}
		before := r.load.acknowledged()
		r.result.expect(comesBack, r.load.until(ctx, 20*time.Second, func() bool { return r.load.acknowledged() > before+callers }),
			"nothing is acknowledged 20 seconds after the database came back")
		return nil
	}
}

// losePower kills the server and takes back what it had not flushed: all of it, or some of it.
func losePower(_ context.Context, r *run) error {
	r.servers[0].kill()
	var rng *rand.Rand
	if r.rng.IntN(2) == 0 {
		rng = r.rng
	}
	_, err := cutPower(r.shaken(powerVariable), rng)
	return err
}
