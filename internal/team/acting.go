package team

import (
	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
)

// rank orders those who act: nobody changes somebody who stands above them.
type rank int

const (
	rankNobody rank = iota
	rankMember
	rankAdmin
	rankOwner
)

func (r Role) rank() rank {
	switch r {
	case Owner:
		return rankOwner
	case Admin:
		return rankAdmin
	case Member:
		return rankMember
	}
	return rankNobody
}

// authority is what the one who acts may give, and whom that party may change.
type authority struct {
	set  Set
	rank rank
}

// authorityOf says what an actor may do. The system itself (the set-up of a shop, the command line of whoever runs the
// server) may do everything. An API key is never an owner, and stands beside the admins only with every permission.
// Customers, imports, integrations and strangers may do nothing.
func authorityOf(who journal.Actor, m *TeamMember, k *Key, d *Defaults) authority {
	switch who.Kind {
	case journal.ActorSystem:
		return authority{everything, rankOwner}
	case journal.ActorTeamMember:
		if m != nil && m.Status == Active {
			return authority{Effective(m, d), m.Role.rank()}
		}
	case journal.ActorAPIKey:
		set := Holds(k)
		switch {
		case set.empty():
		case everything.Without(set).empty():
			return authority{set, rankAdmin}
		default:
			return authority{set, rankMember}
		}
	}
	return authority{}
}

// Of gives what an actor may do now, for whoever has to allow or deny a request under the head.
func Of(r journal.Reader, who journal.Actor) (Set, error) {
	var w World
	if err := w.loadActor(r, who); err != nil {
		return Set{}, err
	}
	return w.authority(who).set, nil
}

func (w *World) loadActor(r journal.Reader, who journal.Actor) (err error) {
	if w.Defaults, err = journal.Find[Defaults](r, journal.Team, TeamID); err != nil {
		return err
	}
	switch who.Kind {
	case journal.ActorTeamMember:
		w.ActingMember, err = journal.Find[TeamMember](r, journal.TeamMember, id.ID(who.ID))
	case journal.ActorAPIKey:
		w.ActingKey, err = journal.Find[Key](r, journal.APIKey, id.ID(who.ID))
	}
	return err
}

func (w World) authority(who journal.Actor) authority {
	return authorityOf(who, w.ActingMember, w.ActingKey, w.Defaults)
}

// over refuses the change of somebody who stands above the one who acts.
func (a authority) over(r Role) error {
	switch {
	case r.rank() <= a.rank:
		return nil
	case a.rank == rankNobody:
		return fault.New(fault.Forbidden, "not_in_team", "Only the team may change the team.")
	case r == Owner:
		return fault.New(fault.Forbidden, "owner_only", "Only an owner may change or make owners.")
	}
	return fault.New(fault.Forbidden, "admin_only", "Only an owner or an admin may change or make admins.")
}

// give refuses to give permissions that the one who acts does not have.
func (a authority) give(added Set) error {
	if beyond := added.Without(a.set); !beyond.empty() {
		return fault.New(fault.Forbidden, "permission_not_yours", "You cannot give what you do not have yourself: %s.", beyond)
	}
	return nil
}
