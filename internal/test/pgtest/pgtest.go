// Package pgtest gives tests a real PostgreSQL: one server for the process, started when it is first asked for, and a database of
// its own for each test. Nothing is left behind, however the process ends.
package pgtest

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver
)

// Server is a running PostgreSQL of this process.
type Server struct {
	Dir   string // of its files, which it can write
	port  int
	end   io.WriteCloser // closing it ends the server and removes its files; a line starts it again
	lines <-chan string  // the process of each start, and "ended"
	pid   int
	cmd   *exec.Cmd

	databases atomic.Int64
}

var process = sync.OnceValues(func() (*Server, error) { return Start(Options{}) })

// Options of a server.
type Options struct {
	// Durable flushes every commit to the disk, as a real one does. Tests that end no machine can do without.
	Durable bool
	// Settings are further settings of the server, "name=value".
	Settings []string
}

// Process is the server of this process. The test fails when there is no PostgreSQL.
func Process(t testing.TB) *Server {
	t.Helper()
	s, err := process()
	if err != nil {
		t.Fatalf("a PostgreSQL for the tests: %v", err)
	}
	return s
}

// URL gives the address of an empty database on the server of this process.
func URL(t testing.TB) string {
	t.Helper()
	u, err := Process(t).Create("")
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// Create makes a database, as a copy of another one when a template is named, and gives its address.
func (s *Server) Create(template string) (string, error) {
	name := fmt.Sprintf("t%d", s.databases.Add(1))
	text := "CREATE DATABASE " + name
	if template != "" {
		text += " TEMPLATE " + template
	}
	return s.URL(name), s.Exec(text)
}

// Exec runs a statement as the superuser.
func (s *Server) Exec(text string) error {
	d, err := sql.Open("pgx", s.URL("postgres"))
	if err != nil {
		return err
	}
	defer d.Close()
	_, err = d.ExecContext(context.Background(), text)
	return err
}

// URL is the address of a database of the server.
func (s *Server) URL(database string) string {
	return fmt.Sprintf("postgres://postgres@127.0.0.1:%d/%s", s.port, database)
}

// Name gives the database's name in an address.
func Name(url string) string { return url[strings.LastIndexByte(url, '/')+1:] }

// Stop ends the server and removes its files.
func (s *Server) Stop() error {
	return errors.Join(s.end.Close(), s.cmd.Wait())
}

// Port is where the server listens, on the loopback address.
func (s *Server) Port() int { return s.port }

// program finds one of PostgreSQL's programs, the newest one.
func program(name string) (string, error) {
	if p, err := exec.LookPath(name); err == nil {
		return p, nil
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/" + name) // the pattern is good
	if len(found) == 0 {
		return "", fmt.Errorf("there is no %s here: install PostgreSQL 15 or newer (scripts/needs.sh does)", name)
	}
	slices.Sort(found)
	return found[len(found)-1], nil
}

// The shell stands between, so that the server ends with this process even when that is killed: then its standard input
// ends.
const watch = `
"$1" -D "$2/data" --no-sync -U postgres -A trust -E UTF8 --locale-provider=icu --icu-locale=en-US --locale=C >"$2/log" 2>&1 || { cat "$2/log"; echo failed; exit 1; }
program=$3 dir=$2
shift 3
start() {
	{
		"$program" -D "$dir/data" -k "$dir" "$@" >>"$dir/log" 2>&1 &
		echo $!
		wait $!
		echo ended
	} &
}
start "$@"
while read -r _; do start "$@"; done
kill -INT $(head -n 1 "$dir/data/postmaster.pid") 2>/dev/null
wait
cd /
rm -rf "$dir"
`

// Start starts a server.
func Start(opt Options) (*Server, error) {
	initdb, err := program("initdb")
	if err != nil {
		return nil, err
	}
	postgres, err := program("postgres")
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "perennial-pg")
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	port := l.Addr().(*net.TCPAddr).Port
	if err := l.Close(); err != nil {
		return nil, err
	}
	args := []string{"-c", watch, "sh", initdb, dir, postgres}
	settings := append([]string{"port=" + strconv.Itoa(port), "listen_addresses=127.0.0.1", "max_connections=200", "shared_buffers=64MB"}, opt.Settings...)
	if !opt.Durable {
		settings = append(settings, "fsync=off", "full_page_writes=off")
	}
	for _, s := range settings {
		args = append(args, "-c", s)
	}
	c := exec.Command("sh", args...)
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // what interrupts the tests must not end the shell before it has removed the files
	if os.Getuid() == 0 {                               // it does not run as root
		if err := asPostgres(c, dir); err != nil {
			return nil, err
		}
	}
	in, err := c.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := c.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.Dir = "/"
	if err := c.Start(); err != nil {
		return nil, err
	}
	lines := make(chan string, 16) // more than anybody leaves unread
	go func() {
		for l := bufio.NewScanner(out); l.Scan(); {
			lines <- l.Text()
		}
		close(lines)
	}()
	s := &Server{Dir: dir, port: port, end: in, lines: lines, cmd: c}
	if err := s.started(); err != nil {
		return nil, fmt.Errorf("initdb failed: %w", errors.Join(err, in.Close()))
	}
	if err := s.wait(); err != nil {
		log, _ := os.ReadFile(filepath.Join(s.Dir, "log")) // for the message
		return nil, fmt.Errorf("the server does not answer: %w\n%s", errors.Join(err, s.Stop()), log)
	}
	return s, nil
}

// started waits for the process of a server that was started.
func (s *Server) started() (err error) {
	line, ok := <-s.lines
	if !ok {
		return errors.New("its shell has ended")
	}
	s.pid, err = strconv.Atoi(line)
	return err
}

// ended sends a signal to the server and waits until it has ended.
func (s *Server) ended(by syscall.Signal) error {
	if err := syscall.Kill(s.pid, by); err != nil {
		return err
	}
	<-s.lines
	return nil
}

// Kill ends the server with no warning. Its files stay for Again.
func (s *Server) Kill() error { return s.ended(syscall.SIGKILL) }

// Halt ends the server in order; connections are cut. Its files stay for Again.
func (s *Server) Halt() error { return s.ended(syscall.SIGINT) }

// Again starts a server that was ended, and returns when it answers.
func (s *Server) Again() (err error) {
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); {
		if _, err = io.WriteString(s.end, "\n"); err != nil {
			return err
		}
		if err = s.started(); err != nil {
			return err
		}
		if err = s.wait(); err == nil {
			return nil
		}
	}
	return err
}

// wait returns when the server answers, or ends.
func (s *Server) wait() (err error) {
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); {
		if err = s.Exec("SELECT 1"); err == nil {
			return nil
		}
		select {
		case <-s.lines:
			return fmt.Errorf("the server has ended: %w", err)
		case <-time.After(20 * time.Millisecond):
		}
	}
	return err
}
