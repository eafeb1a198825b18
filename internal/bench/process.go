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
	settles  = 3 * time.Second  // in which an idle process computes next to nothing
	notReady = 30 * time.Second // when a process is given up
	notIdle  = 5 * time.Minute  // the same: a new shop's figures are counted first
)

// process measures a process of its own that serves a shop: the time until it is ready, and its memory when nobody asks
// anything. goals says that they count.
func (r *run) process(key, name string, s *shop, goals bool) error { //nolint:revive // a flag of the table, not of behaviour
	if r.Serve == nil {
		return nil
	}
	r.Say("a process that serves " + name)
	if goals { // the first start counts the reports' figures of all the entries that were made without it
		if _, _, err := r.serving(s); err != nil {
			return err
		}
	}
	ready, resident, err := r.serving(s)
	if err != nil {
		return err
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

// serving starts a process that serves a shop, watches it, and ends it.
func (r *run) serving(s *shop) (ready time.Duration, resident float64, err error) {
	listen, err := freeAddress()
	if err != nil {
		return 0, 0, err
	}
	args := r.Serve(s.data, listen)
	cmd := exec.CommandContext(r.ctx, args[0], args[1:]...)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return 0, 0, fmt.Errorf("bench: %s: %w", args[0], err)
	}
	ready, resident, err = r.watch(cmd.Process.Pid, "http://"+listen+"/readyz", began)
	if serr := cmd.Process.Signal(syscall.SIGTERM); serr != nil && err == nil {
		err = serr
	}
	if werr := cmd.Wait(); err == nil {
		err = werr
	}
	if err != nil {
		return 0, 0, fmt.Errorf("bench: serve: %w: %s", err, said.Bytes())
	}
	return ready, resident, nil
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
	if err := r.idle(pid); err != nil {
		return ready, 0, err
	}
	resident, err = memoryOf(pid, "VmRSS:")
	return ready, resident, err
}

// idle waits until a process has used less than a hundredth of a processor for a while.
func (r *run) idle(pid int) error {
	ctx, cancel := context.WithTimeout(r.ctx, notIdle)
	defer cancel()
	for before := -1; ; {
		used, err := ticksOf(pid)
		if err != nil {
			return err
		}
		if before >= 0 && used-before <= int(settles/time.Second) { // a tick is a hundredth of a second
			return nil
		}
		before = used
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(settles):
		}
	}
}

// ticksOf is the processor time of a process in hundredths of a second: always 0 where the system does not tell.
func ticksOf(pid int) (ticks int, err error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if os.IsNotExist(err) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(stat), ") ") // after the program's name
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0, fmt.Errorf("bench: what the system tells of process %d has %d fields", pid, len(fields))
	}
	for _, text := range fields[11:13] { // utime, stime
		n, err := strconv.Atoi(text)
		if err != nil {
			return 0, err
		}
		ticks += n
	}
	return ticks, nil
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
