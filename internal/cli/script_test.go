package cli

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/rogpeppe/go-internal/testscript"
	_ "modernc.org/sqlite"

	"perennial/internal/api"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"perennial": func() { os.Exit(Run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }})
}

// TestStories runs the files of testdata: what an operator types, and what comes of it. Beside the commands of testscript
// they have
//
//	exits N COMMAND…        run a command and expect its exit code
//	answers N PATH          wait until the server at $ADDR answers a GET with this status; its body is standard output
//	post PATH BODY          send a change with the demo's API key
//	sigterm                 tell the background command that was started last to stop
//	sql FILE STATEMENT…     run statements on a database, behind the program's back
//
// and $ADDR, a free address; $RECIPIENT and the file identity, the two halves of a key of age; and the folder shop, a demo of 20
// subscriptions that was made and stopped.
func TestStories(t *testing.T) {
	var once sync.Once
	made := t.TempDir()
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(e *testscript.Env) error {
			once.Do(func() {
				if code := Run([]string{"demo", "--data", made, "--subscriptions", "20", "--no-serve"}, strings.NewReader(""), io.Discard, io.Discard); code != 0 {
					t.Errorf("the demo: exit code %d", code)
				}
			})
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				return err
			}
			e.Setenv("ADDR", l.Addr().String())
			who, err := age.GenerateX25519Identity()
			if err != nil {
				return err
			}
			e.Setenv("RECIPIENT", who.Recipient().String())
			return errors.Join(l.Close(), os.WriteFile(filepath.Join(e.WorkDir, "identity"), []byte(who.String()), 0o600), copyShop(filepath.Join(e.WorkDir, "shop"), made))
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){"exits": exits, "answers": answers, "post": post, "sigterm": sigterm, "sql": runSQL},
	})
}

// copyShop is os.CopyFS with the modes of the files, which matter for keys.
func copyShop(to, from string) error {
	return filepath.WalkDir(from, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := filepath.Join(to, strings.TrimPrefix(path, from))
		if d.IsDir() {
			return os.MkdirAll(name, 0o700)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(name, b, 0o600)
	})
}

func exits(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		e, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			ts.Fatalf("%v", err)
		}
		got = e.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

func answers(ts *testscript.TestScript, _ bool, args []string) {
	last := ""
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(30 * time.Millisecond) {
		res, err := http.Get("http://" + ts.Getenv("ADDR") + args[1])
		if err != nil {
			last = err.Error()
			continue
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		ts.Check(err)
		if strconv.Itoa(res.StatusCode) == args[0] {
			_, err := ts.Stdout().Write(body)
			ts.Check(err)
			return
		}
		last = fmt.Sprintf("%d %s", res.StatusCode, body)
	}
	ts.Fatalf("%s never answered %s: %s", args[1], args[0], last)
}

func post(ts *testscript.TestScript, _ bool, args []string) {
	var d described
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("shop/demo.json")), &d))
	req, err := http.NewRequest(http.MethodPost, "http://"+ts.Getenv("ADDR")+api.Base+args[0], strings.NewReader(args[1]))
	ts.Check(err)
	req.Header.Set("Authorization", "Bearer "+d.APIKey)
	res, err := http.DefaultClient.Do(req)
	ts.Check(err)
	defer res.Body.Close()
	_, err = io.Copy(ts.Stdout(), res.Body)
	ts.Check(err)
	if res.StatusCode >= 300 {
		ts.Fatalf("it was answered with %s", res.Status)
	}
}

func sigterm(ts *testscript.TestScript, _ bool, _ []string) {
	running := ts.BackgroundCmds()
	ts.Check(running[len(running)-1].Process.Signal(syscall.SIGTERM))
}

func runSQL(ts *testscript.TestScript, _ bool, args []string) {
	d, err := sql.Open("sqlite", ts.MkAbs(args[0]))
	ts.Check(err)
	defer d.Close()
	for _, s := range args[1:] {
		_, err := d.Exec(s)
		ts.Check(err)
	}
}
