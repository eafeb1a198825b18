package torture

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	_ "perennial/internal/db" // the drivers
	"perennial/verify"
)

// entry is a row of event, read with no code of the program.
type entry struct {
	seq, version, prev   int64
	at, target           string
	leaf, body           []byte
	id, command, request string
	bodySeq, bodyVersion int64
	bodyAt, bodyTarget   string
	inTheTree            tlog.Hash
}

// check looks at every invariant, while nobody changes anything but the server itself.
func (r *run) check(ctx context.Context) error {
	acks, given, notes := r.load.snapshot()
	r.load.tell(r.result)
	up := len(r.bases()) == len(r.servers)
	entries, err := r.entries(ctx)
	if err != nil {
		if up {
			return fmt.Errorf("read the entries: %w", err)
		}
		r.result.broke(comesBack, "the database cannot be read: %v", err)
	}
	r.result.Entries = int64(len(entries))
	r.checkEntries(entries)
	r.checkRequests(entries, acks, given)
	r.checkCheckpoints(entries, notes)
	if err := r.verify(); err != nil {
		return err
	}
	if up {
		r.askReceipts(acks)
	}
	return nil
}

func (r *run) entries(ctx context.Context) (out []entry, err error) {
	driver, dsn := "pgx", r.url
	if r.url == "" {
		driver, dsn = "sqlite", "file:"+(&url.URL{Path: filepath.Join(r.data, "perennial.db")}).EscapedPath()+"?mode=ro&_pragma=busy_timeout(10000)"
	}
	d, err := sql.Open(driver, dsn)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	rows, err := d.QueryContext(ctx, `SELECT seq, recorded_at, target_id, target_version, coalesce(target_prev_seq, -1), leaf_hash, body FROM event ORDER BY shop_id, seq`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var e entry
		if err := rows.Scan(&e.seq, &e.at, &e.target, &e.version, &e.prev, &e.leaf, &e.body); err != nil {
			return nil, err
		}
		var b struct {
			ID      string `json:"id"`
			Seq     int64  `json:"seq"`
			Command string `json:"command_id"`
			At      string `json:"recorded_at"`
			Version int64  `json:"target_version"`
			Source  struct {
				RequestID string `json:"request_id"`
			} `json:"source"`
			Targets []struct {
				ID string `json:"id"`
			} `json:"targets"`
		}
		if err := json.Unmarshal(e.body, &b); err != nil {
			return nil, fmt.Errorf("seq %d: %w", e.seq, err)
		}
		e.id, e.bodySeq, e.command, e.bodyAt, e.bodyVersion, e.request = b.ID, b.Seq, b.Command, b.At, b.Version, b.Source.RequestID
		if len(b.Targets) > 0 {
			e.bodyTarget = b.Targets[0].ID
		}
		e.inTheTree = tlog.RecordHash(e.body)
		out = append(out, e)
	}
	return out, rows.Err()
}

// checkEntries looks at each entry and its place.
func (r *run) checkEntries(entries []entry) {
	type last struct{ version, seq int64 }
	things := map[string]last{}
	at := ""
	for n, e := range entries {
		r.result.expect(seqs, e.seq == int64(n) && e.bodySeq == e.seq, "entry %d has seq %d, and its bytes say %d", n, e.seq, e.bodySeq)
		was, ok := things[e.target]
		if !ok {
			was.seq = -1
		}
		r.result.expect(versions, e.version == was.version+1 && e.prev == was.seq && e.bodyVersion == e.version && e.bodyTarget == e.target,
			"seq %d: version %d of %s after %d at seq %d, which it calls %d", e.seq, e.version, e.target, was.version, was.seq, e.prev)
		things[e.target] = last{e.version, e.seq}
		r.result.expect(times, e.at >= at && e.bodyAt == e.at, "seq %d: %s after %s; its bytes say %s", e.seq, e.at, at, e.bodyAt)
		at = e.at
		r.result.expect(leaves, bytes.Equal(e.leaf, e.inTheTree[:]), "seq %d: the stored bytes do not hash to the stored leaf", e.seq)
	}
}

// checkRequests compares what was acknowledged with what is there.
func (r *run) checkRequests(entries []entry, acks map[string]*acknowledgement, given map[string]bool) {
	byRequest := map[string][]int{}
	for n, e := range entries {
		if e.request != "" {
			byRequest[e.request] = append(byRequest[e.request], n)
		}
	}
	owner := map[int64]string{}
	for key, a := range acks {
		r.result.expect(acknowledged, len(a.Events) > 0, "%s was answered with no event: %.200s", key, a.Answer)
		for _, ev := range a.Events {
			there := ev.Seq < int64(len(entries)) && entries[ev.Seq].id == ev.ID && bytes.Equal(entries[ev.Seq].leaf, ev.LeafHash)
			r.result.expect(acknowledged, there, "%s was acknowledged as %s at seq %d: it is not there", key, ev.ID, ev.Seq)
			r.result.expect(once, owner[ev.Seq] == "", "seq %d was given to %s and to %s", ev.Seq, owner[ev.Seq], key)
			owner[ev.Seq] = key
		}
		// A lost entry is a matter of acknowledged; here it is about too many.
		r.result.expect(once, len(byRequest[key]) <= len(a.Events), "%s was acknowledged with %d events and made %d", key, len(a.Events), len(byRequest[key]))
	}
	for key := range given {
		r.result.expect(refused, len(byRequest[key]) == 0, "%s was refused, and has %d entries", key, len(byRequest[key]))
	}
	for key, ns := range byRequest {
		commands := map[string]bool{}
		for _, n := range ns {
			commands[entries[n].command] = true
		}
		r.result.expect(once, len(commands) == 1, "%s happened %d times", key, len(commands))
	}
}

// checkCheckpoints compares every checkpoint ever seen with the tree of the entries.
func (r *run) checkCheckpoints(entries []entry, notes []string) {
	seen := r.load.seen
	for _, n := range notes {
		c, err := verify.OpenCheckpoint([]byte(n), r.logKey)
		if err != nil {
			r.result.broke(prefixes, "a checkpoint that is none: %v: %q", err, n)
			continue
		}
		if was, ok := seen[c.Size]; ok && was != c {
			r.result.broke(prefixes, "two checkpoints of %d entries differ", c.Size)
			continue
		}
		seen[c.Size] = c
	}
	var stored []tlog.Hash
	reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		out := make([]tlog.Hash, len(indexes))
		for i, at := range indexes {
			out[i] = stored[at]
		}
		return out, nil
	})
	for n, e := range entries {
		more, err := tlog.StoredHashesForRecordHash(int64(n), e.inTheTree, reader)
		if err != nil {
			panic(err) // all hashes before are there
		}
		stored = append(stored, more...)
	}
	for size, c := range seen {
		if size > int64(len(entries)) {
			r.result.broke(prefixes, "one was signed over %d entries, and there are %d", size, len(entries))
			continue
		}
		root, err := tlog.TreeHash(size, reader)
		r.result.expect(prefixes, err == nil && root == c.Root, "the first %d entries are not those of the checkpoint seen", size)
	}
	r.askConsistency()
}

// askConsistency asks the server itself to prove that the checkpoints seen, a sample of them, are prefixes of its newest one.
func (r *run) askConsistency() {
	bases := r.bases()
	if len(bases) == 0 {
		return
	}
	code, note, err := get(bases[0]+"/checkpoint", r.apiKey)
	if err != nil || code != 200 {
		r.result.broke(prefixes, "no checkpoint after the fault: %d %v %.300s", code, err, note)
		return
	}
	newest, err := verify.OpenCheckpoint(note, r.logKey)
	if err != nil {
		r.result.broke(prefixes, "the newest checkpoint is none: %v", err)
		return
	}
	sizes := make([]int64, 0, len(r.load.seen))
	for size := range r.load.seen {
		if size > 0 {
			sizes = append(sizes, size)
		}
	}
	slices.Sort(sizes)
	for _, size := range sizes[max(0, len(sizes)-25):] {
		var proof struct{ Hashes [][]byte }
		err := getJSON(fmt.Sprintf("%s/proofs/consistency?from=%d&to=%d", bases[0], size, newest.Size), r.apiKey, &proof)
		var hashes [][32]byte
		for _, h := range proof.Hashes {
			hashes = append(hashes, [32]byte(h))
		}
		if err == nil {
			err = verify.CheckConsistency(r.load.seen[size], newest, hashes)
		}
		r.result.expect(prefixes, err == nil, "from %d to %d: %v", size, newest.Size, err)
	}
	r.load.seen[newest.Size] = newest
}

// verify runs `perennial verify`, which recomputes and replays everything.
func (r *run) verify() error {
	c := r.command(append([]string{"verify", "--json"}, r.place(0)...)...)
	var out, errs bytes.Buffer
	c.Stdout, c.Stderr = &out, &errs
	err := c.Run()
	if _, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
		return err
	}
	if code := c.ProcessState.ExitCode(); code > 1 {
		if len(r.bases()) < len(r.servers) {
			r.result.broke(comesBack, "verify cannot read it: %.300s", &errs)
			return nil
		}
		return fmt.Errorf("verify ended with %d: %s", code, &errs)
	}
	var rep struct {
		Entries, Rows, Secrets, Checkpoints, Boxes, Differences int64
		Problems                                                []struct{ ID, Field, Detail string }
	}
	if err := json.Unmarshal(out.Bytes(), &rep); err != nil {
		return fmt.Errorf("verify: %w: %.300s%s", err, &out, &errs)
	}
	r.result.held(replay, int(rep.Rows+rep.Secrets))
	r.result.held(leaves, int(rep.Entries+rep.Boxes))
	r.result.held(prefixes, int(rep.Checkpoints))
	r.result.held(tree, 1)
	r.result.held(guards, 1)
	for _, p := range rep.Problems {
		r.result.broke(about(p.ID, p.Field), "verify: %s, field %s: %s", p.ID, p.Field, p.Detail)
	}
	if more := rep.Differences - int64(len(rep.Problems)); more > 0 {
		r.result.broke(replay, "verify: %d more differences", more)
	}
	return nil
}

// about is the invariant that one of verify's problems is about.
func about(id, field string) invariant {
	switch field {
	case "seq", "head":
		return seqs
	case "target_version", "target_prev_seq":
		return versions
	case "recorded_at", "head.recorded_at":
		return times
	case "leaf_hash", "body", "boxes", "shop_id", "id", "type", "target_kind", "target_id":
		return leaves
	case "head.edge":
		return tree
	case "trigger", "grant", "pending":
		return guards
	case "note", "size", "root":
		return prefixes
	}
	if strings.HasPrefix(id, "tree_node ") {
		return tree
	}
	return replay
}

// askReceipts asks the server for acknowledged entries, a sample of them.
func (r *run) askReceipts(acks map[string]*acknowledgement) {
	bases, left := r.bases(), 40
	for key, a := range acks {
		for _, ev := range a.Events {
			var v struct{ Data receipt }
			err := getJSON(bases[left%len(bases)]+"/events/"+ev.ID, r.apiKey, &v)
			r.result.expect(acknowledged, err == nil && v.Data.ID == ev.ID && v.Data.Seq == ev.Seq && bytes.Equal(v.Data.LeafHash, ev.LeafHash),
				"%s was acknowledged as %+v, and the server says %+v, %v", key, ev, v.Data, err)
		}
		if left--; left == 0 {
			return
		}
	}
}
