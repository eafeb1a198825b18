// Package crash kills a server under load and looks whether it kept its word: every change that was acknowledged is
// there, with its seq and leaf hash, and the whole journal verifies. The acknowledgements are kept outside the database.
package crash

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"perennial/internal/cli"
)

// TestMain lets the test binary be the program too, so that a real process can be killed.
func TestMain(m *testing.M) {
	if args := os.Getenv("PERENNIAL_TEST_ARGS"); args != "" {
		os.Exit(cli.Run(strings.Split(args, "\n"), os.Stdin, os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

func command(args ...string) *exec.Cmd {
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), "PERENNIAL_TEST_ARGS="+strings.Join(args, "\n"))
	return c
}

type server struct {
	cmd  *exec.Cmd
	base string
	key  string
}

var (
	ready    = regexp.MustCompile(`http://([0-9.]+:[0-9]+)`)
	firstKey = regexp.MustCompile(`key_[0-9a-z]{26}_[A-Za-z0-9]+`)
)

// start runs perennial serve and waits until it says where it is.
func start(t *testing.T, dir, key string) *server {
	t.Helper()
	s := &server{cmd: command("serve", "--data", dir, "--listen", "127.0.0.1:0"), key: key}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	s.cmd.Stderr = os.Stderr
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if k := firstKey.FindString(lines.Text()); k != "" {
			s.key = k
		}
		if m := ready.FindStringSubmatch(lines.Text()); m != nil {
			s.base = "http://" + m[1] + "/api/v1"
			go func() { _, _ = io.Copy(io.Discard, out) }() // it ends with the process
			return s
		}
	}
	t.Fatalf("the server ended before it was ready: %v", s.cmd.Wait())
	return nil
}

func (s *server) do(method, path, body string, into any) (int, error) {
	req, err := http.NewRequest(method, s.base+path, strings.NewReader(body))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Authorization", "Bearer "+s.key)
	res, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, err
	}
	if into != nil && res.StatusCode < 300 {
		err = json.Unmarshal(b, into)
	}
	return res.StatusCode, err
}

var client = &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 64}}

// ack is an event that the server said is durable.
type ack struct {
	ID       string `json:"id"`
	Seq      int64  `json:"seq"`
	LeafHash string `json:"leaf_hash"`
}

func TestKillUnderLoad(t *testing.T) {
	rounds := 3
	if testing.Short() {
		rounds = 1
	}
	dir := t.TempDir()
	var mu sync.Mutex
	var acks []ack
	key := ""
	for round := range rounds {
		s := start(t, dir, key)
		key = s.key
		stop := make(chan struct{})
		var wg sync.WaitGroup
		for c := range 16 {
			wg.Go(func() {
				for n := 0; ; n++ {
					select {
					case <-stop:
						return
					default:
					}
					var a struct{ Events []ack }
					code, err := s.do("POST", "/products", fmt.Sprintf(`{"title":"Product %d %d %d"}`, round, c, n), &a)
					if err != nil {
						return // the server is gone
					}
					if code != http.StatusCreated {
						t.Errorf("create a product: %d", code)
						return
					}
					mu.Lock()
					acks = append(acks, a.Events...)
					mu.Unlock()
				}
			})
		}
		time.Sleep(600 * time.Millisecond) // the load itself, not a wait for something
		if err := s.cmd.Process.Signal(syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		wg.Wait()
		close(stop)
		_ = s.cmd.Wait() // killed: its exit code says nothing
	}
	if len(acks) < 50*rounds {
		t.Errorf("only %d changes were acknowledged: this was no load", len(acks))
	}
	s := start(t, dir, key)
	seqs := map[int64]string{}
	for _, a := range acks {
		if was, ok := seqs[a.Seq]; ok {
			t.Fatalf("seq %d was given to %s and to %s", a.Seq, was, a.ID)
		}
		seqs[a.Seq] = a.ID
		var got struct{ Data ack }
		if code, err := s.do("GET", "/events/"+a.ID, "", &got); err != nil || code != 200 || got.Data != a {
			t.Fatalf("acknowledged %+v, after the crashes: %d, %v, %+v", a, code, err, got.Data)
		}
	}
	out, err := command("verify", "--data", dir).CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte(" 0 differences")) {
		t.Errorf("verify beside the server: %v\n%s", err, out)
	}
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Wait(); err != nil {
		t.Errorf("a graceful stop: %v", err)
	}
	t.Logf("%d acknowledged changes in %d crashes, all there", len(acks), rounds)
}
