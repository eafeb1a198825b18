package api

import (
	"context"
	"net/http"
	"reflect"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/seal"
	"perennial/internal/store"
	"perennial/internal/team"
	"perennial/internal/view"
)

// Answers about proofs are bare: what checks them offline reads them as they are.

type inclusionView struct {
	Seq      int64    `json:"seq"`
	Size     int64    `json:"size"`
	LeafHash []byte   `json:"leaf_hash"`
	Hashes   [][]byte `json:"hashes" doc:"The inclusion proof (RFC 6962, section 2.1.1)."`
}

type consistencyView struct {
	From   int64    `json:"from"`
	To     int64    `json:"to"`
	Hashes [][]byte `json:"hashes" doc:"The consistency proof (RFC 6962, section 2.1.2)."`
}

type checkpointView struct {
	Size     int64        `json:"size"`
	Root     []byte       `json:"root"`
	SignedAt journal.Time `json:"signed_at"`
	Note     string       `json:"note"`
}

type inclusionQuery struct {
	Seq  int64 `query:"seq" required:"true" minimum:"0" doc:"The event's position."`
	Size int64 `query:"size" minimum:"1" doc:"Of the tree to prove it in; without it, of all events so far."`
}

type consistencyQuery struct {
	From int64 `query:"from" required:"true" minimum:"0" doc:"The size of the older tree. Of the empty one the proof is empty."`
	To   int64 `query:"to" minimum:"1" doc:"The size of the newer tree; without it, of all events so far."`
}

// proof registers checkpoints, proofs and receipts.
func (a *API) proof() {
	get := func(path, summary string) route {
		return route{method: http.MethodGet, path: path, tag: "Proof", summary: summary, permission: team.EventsView}
	}
	plainText(a, get("/checkpoint", "A signed checkpoint over all events (C2SP tlog-checkpoint)"), func(ctx context.Context) (string, error) {
		c, err := a.checkpoint(ctx, 0)
		return c.Note, err
	})
	key := get("/log-key", "The public key that checkpoints are signed with (note form)")
	key.permission = ""
	plainText(a, key, func(context.Context) (string, error) {
		_, vkey, err := a.Store.Keys.Folder().Verifier(string(a.Store.Shop))
		return vkey + "\n", err
	})
	list(a, get("/checkpoints", "All signed checkpoints, newest first"), func(in *Page) (Page, any) { return *in, nil }, a.checkpoints,
		func(c checkpointView) string { return strconv.FormatInt(c.Size, 10) })
	bare(a, get("/proofs/inclusion", "Prove that an event is in the tree of the first size events"), a.inclusion)
	bare(a, get("/proofs/consistency", "Prove that the tree of the first to events begins with that of the first from"), a.consistency)
	bare(a, get("/events/{id}/receipt", "Everything that proves one event offline"), a.receipt)
}

// bare registers a read whose answer has no envelope.
func bare[I, V any](a *API, r route, get func(ctx context.Context, in *I) (V, error)) {
	raws(a, r, reflect.TypeFor[V](), func(ctx context.Context, in *I) (*raw, error) {
		v, err := get(ctx, in)
		if err != nil {
			return nil, err
		}
		b, err := encode(v)
		return &raw{Status: http.StatusOK, ContentType: "application/json", Body: b}, err
	})
}

// plainText registers a read whose answer is a text.
func plainText(a *API, r route, get func(ctx context.Context) (string, error)) {
	op := a.operation(r, reflect.TypeFor[string](), false)
	op.Responses["200"].Content = map[string]*huma.MediaType{"text/plain": {Schema: &huma.Schema{Type: huma.TypeString}}}
	huma.Register(a.huma, op, func(ctx context.Context, _ *noInput) (*raw, error) {
		c := callOf(ctx)
		s, err := get(ctx)
		if err != nil {
			return nil, a.problem(c, err)
		}
		return &raw{Status: http.StatusOK, ContentType: "text/plain; charset=utf-8", Body: []byte(s)}, nil
	})
}

func (a *API) checkpoint(ctx context.Context, size int64) (store.Checkpoint, error) {
	return view.CheckpointOver(ctx, a.Store, a.Program, size)
}

func (a *API) checkpoints(ctx context.Context, _ *Page, limit int, after string) ([]checkpointView, error) {
	before := int64(seal.MaxSize) + 1
	if after != "" {
		var err error
		if before, err = strconv.ParseInt(after, 10, 64); err != nil {
			return nil, err
		}
	}
	cs, err := a.Store.Checkpoints(ctx, a.Store.Read, before, limit)
	if err != nil {
		return nil, store.Fault(err)
	}
	out := make([]checkpointView, len(cs))
	for i, c := range cs {
		out[i] = checkpointView{Size: c.Size, Root: c.Root, Note: c.Note}
		if err := out[i].SignedAt.UnmarshalJSON([]byte(`"` + c.SignedAt + `"`)); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// treeSize checks the size of a tree that a proof is asked for; 0 stands for all events.
func (a *API) treeSize(ctx context.Context, at string, size int64) (int64, error) {
	head, err := a.Store.ReadHead(ctx, a.Store.Read)
	if err != nil {
		return 0, store.Fault(err)
	}
	if size > head.Seq+1 {
		return 0, refused(at, "size_beyond_journal", "The journal has {most} events.", "most", head.Seq+1)
	}
	if size == 0 {
		size = head.Seq + 1
	}
	return size, nil
}

func (a *API) inclusion(ctx context.Context, in *inclusionQuery) (inclusionView, error) {
	size, err := a.treeSize(ctx, "/query/size", in.Size)
	if err != nil {
		return inclusionView{}, err
	}
	if in.Seq >= size {
		return inclusionView{}, refused("/query/seq", "seq_beyond_size", "Among {size} events the last seq is {last}.", "size", size, "last", size-1)
	}
	tree := store.Tree{Ctx: ctx, S: a.Store, Q: a.Store.Read}
	hashes, err := seal.Inclusion(tree, in.Seq, size)
	if err != nil {
		return inclusionView{}, store.Fault(err)
	}
	leaf, err := tree.Leaves(in.Seq, in.Seq+1)
	if err != nil {
		return inclusionView{}, store.Fault(err)
	}
	return inclusionView{in.Seq, size, leaf[0][:], hashList(hashes)}, nil
}

func (a *API) consistency(ctx context.Context, in *consistencyQuery) (consistencyView, error) {
	to, err := a.treeSize(ctx, "/query/to", in.To)
	if err != nil {
		return consistencyView{}, err
	}
	if in.From > to {
		return consistencyView{}, refused("/query/from", "tree_not_older", "The older tree has at most as many events as the newer one: {most}.", "most", to)
	}
	hashes, err := seal.Consistency(store.Tree{Ctx: ctx, S: a.Store, Q: a.Store.Read}, in.From, to)
	if err != nil {
		return consistencyView{}, store.Fault(err)
	}
	return consistencyView{in.From, to, hashList(hashes)}, nil
}

func (a *API) receipt(ctx context.Context, in *byID) (view.Receipt, error) {
	return view.ReceiptOf(ctx, a.Store, a.Program, id.ID(in.ID))
}

func hashList(hashes []seal.Hash) [][]byte {
	out := make([][]byte, len(hashes))
	for i, h := range hashes {
		out[i] = h[:]
	}
	return out
}
