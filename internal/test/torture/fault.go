package torture

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// scenarios are what is played, in this order.
func scenarios(short bool) []scenario {
	if short {
		return []scenario{
			{name: "sqlite", env: []string{clockVariable, powerVariable}, rounds: []round{
				repeat(1, "an hour back and forth, and kill -9", moveClock),
				repeat(2, "power cut", losePower),
			}},
			{name: "postgres two servers", postgres: true, servers: 2, rounds: []round{
				repeat(1, "kill -9 of one of two servers and of PostgreSQL", killBoth),
			}},
		}
	}
	return []scenario{
		{name: "sqlite kill", rounds: []round{
			repeat(20, "kill -9 of the server", killServer),
			repeat(3, "stopped and continued", freezeServer(time.Second)),
		}},
		{name: "sqlite power", env: []string{powerVariable}, rounds: []round{repeat(6, "power cut", losePower)}},
		{name: "sqlite clock", env: []string{clockVariable}, rounds: []round{repeat(3, "an hour back and forth", moveClock)}},
		{name: "sqlite disk full", prepare: smallDisk, rounds: []round{
			repeat(2, "the disk is full for a while", fillDisk),
			repeat(1, "kill -9 on a full disk", killOnFullDisk),
		}},
		{name: "postgres kill", postgres: true, rounds: []round{
			repeat(20, "kill -9 of the server", killServer),
			repeat(3, "kill -9 of PostgreSQL", killPostgres),
			repeat(1, "the database gone for 10 seconds", stopPostgres(10*time.Second)),
		}},
		{name: "postgres two servers", postgres: true, servers: 2, rounds: []round{
			repeat(4, "kill -9 of one of two servers", killServer),
			repeat(1, "kill -9 of PostgreSQL", killPostgres),
			repeat(2, "one of two stopped for a while", freezeServer(2*time.Second)),
		}},
		billing("sqlite billing", false),
		billing("postgres billing", true),
	}
}

func repeat(n int, name string, do fault) round { return round{name: name, times: n, do: do} }

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
	// recorded_at never goes back, so what was recorded in the future holds the time there.
	var last struct {
		Data []struct {
			At time.Time `json:"recorded_at"`
		}
	}
	if err := getJSON(r.servers[0].base+"/events?limit=1", r.apiKey, &last); err != nil {
		return err
	}
	if len(last.Data) == 0 || time.Until(last.Data[0].At) < 30*time.Minute {
		return cannot("the clock of the server was not moved: %v", last)
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

func killBoth(ctx context.Context, r *run) error {
	return errors.Join(killServer(ctx, r), killPostgres(ctx, r))
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
	err := cutPower(r.shaken(powerVariable), rng)
	return err
}

// smallDisk puts the data folder on a disk of its own that can be filled.
func smallDisk(_ context.Context, r *run) error {
	if err := os.Mkdir(r.data, 0o700); err != nil {
		return err
	}
	unmount, err := memoryDisk(r.data, 192<<20)
	if err != nil {
		return cannot("a small disk cannot be mounted: %v", err)
	}
	r.cleanup = append(r.cleanup, unmount)
	return nil
}

// fillDisk fills the disk until changes are refused, and makes room again. The server has to go on then.
func fillDisk(ctx context.Context, r *run) error {
	free, err := r.fill(ctx)
	if err != nil {
		return err
	}
	if err := free(); err != nil {
		return err
	}
	before := r.load.acknowledged()
	r.result.expect(comesBack, r.load.until(ctx, 20*time.Second, func() bool { return r.load.acknowledged() > before+callers }),
		"nothing is acknowledged 20 seconds after there was room again")
	return nil
}

func killOnFullDisk(ctx context.Context, r *run) error {
	free, err := r.fill(ctx)
	if err != nil {
		return err
	}
	r.servers[0].kill()
	return free()
}

// fill fills the disk and waits until that is noticed. free makes room again.
func (r *run) fill(ctx context.Context) (free func() error, err error) {
	path := filepath.Join(r.data, "ballast")
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	free = func() error { return os.Remove(path) }
	for b := make([]byte, 64<<10); err == nil; {
		_, err = f.Write(b)
	}
	if err := f.Close(); err != nil {
		return nil, err
	}
	if !errors.Is(err, syscall.ENOSPC) {
		return nil, err
	}
	before := r.load.refused()
	if !r.load.until(ctx, 20*time.Second, func() bool { return r.load.refused() >= before+callers }) {
		return nil, errors.Join(cannot("the disk is full, and nothing was refused"), free())
	}
	return free, nil
}
