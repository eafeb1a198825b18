package torture

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"
)

// process is a running perennial serve.
type process struct {
	cmd  *exec.Cmd
	base string // of its API
	end  chan struct{}
	err  error // how it ended; after end is closed
}

var (
	ready    = regexp.MustCompile(`API: (http://127\.0\.0\.1:[0-9]+/[a-z0-9/]+)`)
	firstKey = regexp.MustCompile(`key_[0-9a-z]{26}_[A-Za-z0-9]+`)
)

// startWithin is for a start after a crash: recovery, and a PostgreSQL that has to recover first.
const startWithin = 60 * time.Second

// command is a perennial with these arguments.
func (r *run) command(args ...string) *exec.Cmd {
	var c *exec.Cmd
	if r.o.Program != "" && len(r.env) == 0 {
		c = exec.Command(r.o.Program, args...)
		c.Env = os.Environ()
	} else {
		c = exec.Command(os.Args[0])
		c.Env = append(os.Environ(), argsVariable+"="+strings.Join(args, "\n"))
		for _, name := range r.env {
			c.Env = append(c.Env, name+"="+r.shaken(name))
		}
	}
	c.SysProcAttr = endWithUs()
	return c
}

// shaken is the value of a variable of Program.
func (r *run) shaken(name string) string {
	switch name {
	case clockVariable:
		return filepath.Join(r.dir, "clock")
	case powerVariable:
		return filepath.Join(r.dir, "unflushed")
	}
	return "OFF"
}

// place is where the n-th server's shop is. All share the keys folder.
func (r *run) place(n int) []string {
	data := r.data
	if n > 0 {
		data = fmt.Sprintf("%s%d", r.data, n)
	}
	args := []string{"--data", data, "--keys", r.keys}
	if r.url != "" {
		args = append(args, "--database", r.url)
	}
	return args
}

// start starts the servers that are not there, until each answers.
func (r *run) start(ctx context.Context) error {
	for n, p := range r.servers {
		if p != nil && !p.ended() {
			continue
		}
		var err error
		for end := time.Now().Add(startWithin); ; {
			if r.servers[n], err = r.startOne(n); err == nil {
				break
			}
			// A PostgreSQL that recovers refuses for a while. An embedded database has no such excuse.
			if r.pg == nil || time.Now().After(end) || ctx.Err() != nil {
				return err
			}
			pause(ctx, 200*time.Millisecond)
		}
	}
	if r.logKey == "" {
		code, key, err := get(r.servers[0].base+"/log-key", r.apiKey)
		if err != nil || code != http.StatusOK {
			return fmt.Errorf("log-key: %d, %w", code, err)
		}
		r.logKey = string(key)
	}
	return nil
}

// sameGateway gives a further server the gateway's account of the first one: to a server with another one the shop's gateway was changed.
func (r *run) sameGateway(n int) error {
	to := fmt.Sprintf("%s%d", r.data, n)
	if n == 0 {
		return nil
	}
	account, err := os.ReadFile(filepath.Join(r.data, "gateway.jsonl.id"))
	if err != nil {
		return err
	}
	return errors.Join(os.MkdirAll(to, 0o700), os.WriteFile(filepath.Join(to, "gateway.jsonl.id"), account, 0o600))
}

func (r *run) startOne(n int) (*process, error) {
	if err := r.sameGateway(n); err != nil {
		return nil, err
	}
	p := &process{cmd: r.command(append([]string{"serve", "--listen", "127.0.0.1:0", "--rate-limit", "0"}, r.place(n)...)...), end: make(chan struct{})}
	log, err := os.OpenFile(filepath.Join(r.dir, fmt.Sprintf("server%d.log", n)), os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	p.cmd.Stderr = log
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, cannot("perennial cannot be started: %v", err)
	}
	found := make(chan string, 1)
	go func() {
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if k := firstKey.FindString(lines.Text()); k != "" && r.apiKey == "" {
				r.apiKey = k // before found is sent, which the reader waits for
			}
			if m := ready.FindStringSubmatch(lines.Text()); m != nil {
				found <- m[1]
				break
			}
		}
		_, _ = io.Copy(io.Discard, out) // it ends with the process
		p.err = p.cmd.Wait()
		close(p.end)
	}()
	select {
	case p.base = <-found:
		return p, nil
	case <-p.end:
		return nil, fmt.Errorf("the server ended before it was ready: %w: %s", p.err, tail(log.Name()))
	case <-time.After(startWithin):
		p.kill()
		return nil, fmt.Errorf("the server was not ready after %v: %s", startWithin, tail(log.Name()))
	}
}

func (p *process) ended() bool {
	select {
	case <-p.end:
		return true
	default:
		return false
	}
}

func (p *process) signal(s syscall.Signal) error {
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return nil
}

// kill ends it with no warning.
func (p *process) kill() {
	_ = p.signal(syscall.SIGKILL) // only a process that has ended cannot be killed
	<-p.end
}

// stop ends the servers that are left.
func (r *run) stop() error {
	for n, p := range r.servers {
		if p != nil {
			p.kill()
		}
		r.servers[n] = nil
	}
	return nil
}

// gentle stops the servers as an operator does: under load, and without an error.
func (r *run) gentle() error {
	stop := r.load.begin(r.rng.Uint64(), r.bases())
	r.load.until(context.Background(), 500*time.Millisecond, func() bool { return false })
	for n, p := range r.servers {
		if err := p.signal(syscall.SIGTERM); err != nil {
			return err
		}
		select {
		case <-p.end:
			r.result.expect(stops, p.err == nil, "server %d: %v", n, p.err)
		case <-time.After(startWithin):
			r.result.broke(stops, "server %d still runs after %v", n, startWithin)
			p.kill()
		}
	}
	stop()
	if err := r.start(context.Background()); err != nil {
		r.result.broke(comesBack, "after a graceful stop: %v", err)
	} else {
		r.load.settle(context.Background(), r.bases())
	}
	return r.check(context.Background())
}

func (r *run) bases() (out []string) {
	for _, p := range r.servers {
		if p != nil && !p.ended() {
			out = append(out, p.base)
		}
	}
	return out
}

// tail is the last line of a log, for a message.
func tail(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	b = bytes.TrimSpace(b)
	return string(b[bytes.LastIndexByte(b, '\n')+1:])
}

var client = &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 2 * callers}}

func get(url, key string) (int, []byte, error) {
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Authorization", "Bearer "+key)
	return do(req)
}

func do(req *http.Request) (int, []byte, error) {
	res, err := client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return res.StatusCode, b, err
}

func getJSON(url, key string, into any) error {
	code, b, err := get(url, key)
	if err == nil && code != http.StatusOK {
		err = fmt.Errorf("%d %.200s", code, b)
	}
	if err == nil {
		err = json.Unmarshal(b, into)
	}
	return err
}
