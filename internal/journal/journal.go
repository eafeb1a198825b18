// Package journal says what an event is: its envelope, its canonical bytes, the closed catalogue of types, and how a
// change of state becomes a list of fields with the value before and after.
//
// The contract, in one paragraph: a command is decided into drafts; a draft changes exactly one row, its primary
// target's; the difference between the row before and after is the event's list of changes, and applying that list to
// the row before gives the row after. There is no second description of a change, so an entry cannot disagree with
// what it describes. Personal values never stand in the canonical bytes: they live in sealed boxes beside them, and a
// box that can no longer be opened reads as the value Erased.
//
// The format of the bytes is fixed in docs/journal-format.md and by the golden corpus in testdata.
package journal

import (
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"perennial/internal/id"
)

// FormatVersion is the version of the envelope, the member "v" of every event's body.
const FormatVersion = 1

// TimeLayout is RFC 3339 in UTC with exactly six fractional digits, the only form of a time in a body.
const TimeLayout = "2006-01-02T15:04:05.000000Z"

// Kind names a kind of target: the first half of a Ref, and the name of the table that holds such rows.
type Kind string

// The kinds that have a state row of their own.
const (
	Subscription     Kind = "subscription"
	Customer         Kind = "customer"
	Address          Kind = "address"
	PaymentMethod    Kind = "payment_method"
	Order            Kind = "order"
	Product          Kind = "product"
	Variant          Kind = "variant"
	SellingPlanGroup Kind = "selling_plan_group"
	SellingPlan      Kind = "selling_plan"
	Discount         Kind = "discount"
	Settings         Kind = "settings"
	Team             Kind = "team"
	TeamMember       Kind = "team_member"
	APIKey           Kind = "api_key"
	CancelFlow       Kind = "cancel_flow"
	CancelReason     Kind = "cancel_reason"
	CancelSession    Kind = "cancel_session"

	NotificationTemplate Kind = "notification_template"
)

// The kinds that are only observed: they have a version and a chain in target_head, and no state.
const (
	Session   Kind = "session"
	SignIn    Kind = "sign_in"
	Request   Kind = "request"
	Log       Kind = "log"
	Source    Kind = "source"
	Shop      Kind = "shop"
	Message   Kind = "message"   // one that was sent
	Operation Kind = "operation" // a bulk change, whose events name it
)

// Observed are the kinds that are only observed: their events have no changes.
var Observed = []Kind{Session, SignIn, Request, Log, Source, Shop, Message, Operation}

// Ref names one thing.
type Ref struct {
	Kind Kind  `json:"kind"`
	ID   id.ID `json:"id"`
}

// ActorKind says what sort of party acted.
type ActorKind string

// The actor kinds, a closed list.
const (
	ActorTeamMember  ActorKind = "team_member"
	ActorCustomer    ActorKind = "customer"
	ActorSystem      ActorKind = "system"
	ActorAPIKey      ActorKind = "api_key"
	ActorIntegration ActorKind = "integration"
	ActorImport      ActorKind = "import"
	ActorAnonymous   ActorKind = "anonymous"
)

// Actor is who really acted. A job is ActorSystem with the job's name as ID.
type Actor struct {
	Kind ActorKind `json:"kind"`
	ID   string    `json:"id"`
}

// Channel is the way by which a command came in.
type Channel string

// The channels, a closed list.
const (
	ChannelDashboard   Channel = "dashboard"
	ChannelPortal      Channel = "portal"
	ChannelQuickAction Channel = "quick_action"
	ChannelAPI         Channel = "api"
	ChannelBilling     Channel = "billing"
	ChannelImport      Channel = "import"
	ChannelBulk        Channel = "bulk"
	ChannelCLI         Channel = "cli"
	ChannelWebhook     Channel = "webhook"
	ChannelMigration   Channel = "migration"
)

// Origin is where a command came from: the event's member "source". IP and UserAgent are personal and sealed under
// the month's key for network data.
type Origin struct {
	Channel   Channel
	RequestID string
	IP        Personal[string]
	UserAgent Personal[string]
}

// Change is one field that changed. Before and After are canonical JSON; nil stands for null (absent). For a personal
// field that was erased they read {"erased":true}.
type Change struct {
	Field    string
	Before   jsontext.Value
	After    jsontext.Value
	Personal bool
}

// Root is the state field that the change is in: "items" of "items.item_x.quantity".
func (c Change) Root() string {
	for i := range len(c.Field) {
		if c.Field[i] == '.' {
			return c.Field[:i]
		}
	}
	return c.Field
}

// SecretCommitment says that a secret of the target was set with this event, without the secret: an HMAC over it
// under a salt that is kept with it.
type SecretCommitment struct {
	Name       string
	Commitment []byte
}

// Box describes one sealed box of an event: which key opens it, and what binds its content to the event's bytes. The
// ciphertext lies beside the body.
type Box struct {
	Key        string
	Class      string // ClassOf(Key)
	Commitment []byte
	Hash       []byte
}

// NoPrev is the TargetPrevSeq of a target's first event.
const NoPrev = int64(-1)

// Event is one entry of the journal, opened: personal values stand in their places, or read as erased.
type Event struct {
	Shop          id.ID
	ID            id.ID
	Seq           int64
	Type          Name
	TypeVersion   int
	Targets       []Ref // the first is the primary one; the others are mentions
	TargetVersion int64 // from 1
	TargetPrevSeq int64 // NoPrev for version 1
	Actor         Actor
	OnBehalfOf    *Actor
	Source        Origin
	OccurredAt    time.Time // UTC, microseconds; never orders anything
	RecordedAt    time.Time // UTC, microseconds
	Changes       []Change
	Details       []Detail
	Comment       Personal[string]
	CorrelationID id.ID
	CausationID   id.ID
	CommandID     id.ID
	Corrects      id.ID
	Secrets       []SecretCommitment
	Boxes         []Box
	Person        id.ID // whose key seals the personal values; not in the body, known only while writing
}

// Target is the primary target.
func (e *Event) Target() Ref { return e.Targets[0] }

// Detail is one member of an event's details.
type Detail struct {
	Name     string
	Value    jsontext.Value
	Personal bool
}

// Detail gives the value of a member of the details, nil when there is none.
func (e *Event) Detail(name string) jsontext.Value {
	for _, d := range e.Details {
		if d.Name == name {
			return d.Value
		}
	}
	return nil
}

// Change gives the change of a field, and whether there is one.
func (e *Event) Change(field string) (Change, bool) {
	for _, c := range e.Changes {
		if c.Field == field {
			return c, true
		}
	}
	return Change{}, false
}

// Truncate gives t as every time of the journal is kept: UTC, microseconds.
func Truncate(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }
