package bench

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	settles  = 3 * time.Second  // before an idle process's memory is read
	notReady = 30 * time.Second // when a process is given up
)

// process measures a process of its own that serves a shop: the time until it is ready, and its memory when nobody asks
// anything. goals says that they count.
func (r *run) process(key, name string, s *shop, goals bool) error { //nolint:revive // a flag of the table, not of behaviour
	if r.Serve == nil {
		return nil
	}
	r.Say("a process that serves " + name)
	listen, err := freeAddress()
	if err != nil {
		return err
	}
	args := r.Serve(s.data, listen)
	cmd := exec.CommandContext(r.ctx, args[0], args[1:]...)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("bench: %s: %w", args[0], err)
	}
	ready, resident, err := r.watch(cmd.Process.Pid, "http://"+listen+"/readyz", began)
	if serr := cmd.Process.Signal(syscall.SIGTERM); serr != nil && err == nil {
		err = serr
	}
	if werr := cmd.Wait(); err == nil {
		err = werr
	}
	if err != nil {
		return fmt.Errorf("bench: serve: %w: %s", err, said.Bytes())
	}
	start := Figure{Key: "ready." + key, Name: "from start to ready, " + name, Value: ready.Seconds() * 1000, Unit: "ms"}
	memory := Figure{Key: "process." + key, Name: "idle memory, " + name, Value: resident / (1 << 20), Unit: "MiB"}
	if goals {
		start.Beside, memory.Beside = "ready.empty", refSmall
		start, memory = atMost(start, 1000, "< 1 s"), atMost(memory, 100e6/(1<<20), "< 100 MB")
	}
	r.add(start)
	if resident > 0 {
		r.add(memory)
	}
	return nil
}

// watch waits until a process is ready, lets it settle, and reads its resident memory in bytes: 0 where the system does
// not tell.
func (r *run) watch(pid int, url string, began time.Time) (ready time.Duration, resident float64, err error) {
	ctx, cancel := context.WithTimeout(r.ctx, notReady)
	defer cancel()
	client := &http.Client{Timeout: time.Second}
	defer client.CloseIdleConnections()
	for !answers(ctx, client, url) {
		select {
		case <-ctx.Done():
			return 0, 0, ctx.Err()
		case <-time.After(2 * time.Millisecond):
		}
	}
	ready = time.Since(began)
	select {
	case <-ctx.Done():
		return ready, 0, ctx.Err()
	case <-time.After(settles):
	}
	resident, err = memoryOf(pid, "VmRSS:")
	return ready, resident, err
}

// memoryOf reads a line of what the system tells of a process's memory, in bytes: 0 where it does not tell.
func memoryOf(pid int, name string) (float64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if os.IsNotExist(err) {
		return 0, nil
	}
	for line := range strings.Lines(string(status)) {
		if size, ok := strings.CutPrefix(line, name); ok {
			kib, perr := strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(size), "kB")), 64)
			return kib * 1024, perr
		}
	}
	return 0, err
}

func answers(ctx context.Context, client *http.Client, url string) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false
	}
	res, err := client.Do(req)
	if err != nil {
		return false
	}
	defer res.Body.Close()
	_, err = io.Copy(io.Discard, res.Body)
	return err == nil && res.StatusCode == http.StatusOK
}

// freeAddress gives a local address that nobody listens on.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}
