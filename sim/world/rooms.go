package world

import (
	"cmp"
	"slices"

	"slipstream/tracker/swarm"
)

// WithRooms asks the shipping core which room each viewer is in when all have come, where there are places and several
// rooms: it gathers those of a place. From the beginning to the end they are in that room; who goes is followed
// by another from the same place.
func (cfg Config) WithRooms() Config {
	if len(cfg.Places) == 0 || Clusters(&cfg) < 2 || cfg.RoomOf != nil {
		return cfg
	}
	cast := NewCast(cfg)
	var roles []Role
	for _, r := range cast.Roles {
		if !r.Seeder && r.Number < generation {
			roles = append(roles, r)
		}
	}
	slices.SortFunc(roles, func(a, b Role) int { return cmp.Or(cmp.Compare(a.JoinMs, b.JoinMs), cmp.Compare(a.Number, b.Number)) })
	core := swarm.New(swarm.Config{Seed: uint32(cfg.Seed), RoomSize: cfg.ClusterViewers})
	for _, r := range roles {
		core.Handle(startMs+r.JoinMs, r.v.joinEvent(uint64(r.Number)+1))
	}
	cfg.RoomOf = make([]int32, cfg.Viewers)
	number := map[int]int32{} // of the rooms, without gaps
	for _, r := range roles {
		room, _ := core.RoomOf(uint64(r.Number) + 1)
		if _, known := number[room]; !known {
			number[room] = int32(len(number))
		}
		cfg.RoomOf[r.Number] = number[room]
	}
	return cfg
}
