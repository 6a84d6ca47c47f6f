package manifest

const (
	// MaxSkewMs is how far apart the clocks of signer and verifier may be.
	MaxSkewMs = 60_000
	// MaxAgeMs is the age of a playlist's newest record beyond which the playlist is a replay: a live origin signs
	// a segment every two seconds and takes a channel off the air long before this.
	MaxAgeMs = 600_000
	// MaxLagSegments is how far a playlist's head may fall behind the newest one seen. It is not zero because
	// the edges of a CDN refresh their copies at different moments.
	MaxLagSegments = 3
	// maxRemembered bounds what a Verifier keeps about the past, in segments.
	maxRemembered = 2 * MaxSegments
)

// Verified is a segment whose record, init record, place and times have been checked. Its bytes have not: see Object and
// Leaf. The URIs are hints where to look; whatever comes from there must match the records.
type Verified struct {
	Segment Segment
	Record  Record
	Init    Record
}

// Verifier decides whether to believe the media playlists of one rendition. It keeps what it has accepted, so poll
// after poll must tell the same story. Use one per rendition; it is not safe for concurrent use.
type Verifier struct {
	channel   Hash
	rendition string
	head      int64                   // newest sequence accepted, -1 before the first
	newest    Verified                // the segment of that sequence
	current   []Delegation            // of the last playlist accepted
	seen      *memory[int64, Record]  // accepted segment records by sequence
	genuine   *memory[Hash, struct{}] // hashes of the records of init sections and parts whose signature has been checked
	appointed *memory[Hash, struct{}] // likewise of delegations
	regions   *memory[KeyID, string]  // that keys were appointed for
	parts     *memory[partPlace, Record]
	open      Record // newest part accepted
}

// NewVerifier returns a verifier for one rendition of a channel.
func NewVerifier(channel Hash, rendition string) *Verifier {
	return &Verifier{
		channel:   channel,
		rendition: rendition,
		head:      -1,
		seen:      newMemory[int64, Record](maxRemembered),
		genuine:   newMemory[Hash, struct{}](4 * MaxParts),
		appointed: newMemory[Hash, struct{}](64),
		regions:   newMemory[KeyID, string](64),
		parts:     newMemory[partPlace, Record](16 * MaxParts),
	}
}

// Head returns the newest segment number accepted, or -1.
func (v *Verifier) Head() int64 { return v.head }

// Playlist checks a media playlist at time nowMs and returns its segments, without gaps, in order. If anything in it
// is wrong the whole playlist is refused and nothing of it is remembered; a viewer keeps what it had and polls
// again. A playlist without any segment is accepted and means nothing. A recording (EXT-X-ENDLIST) may be of any age, and its
// delegations need to have been valid only when they were used.
//
// The checks run in this order, so that the sentence names the cause rather than a consequence: the delegations
// are the channel's; every record is in its place and signed; the playlist is fresh; delegations cover the
// records; nothing contradicts what was seen; the records form a chain.
func (v *Verifier) Playlist(pl Playlist, nowMs int64) ([]Verified, error) {
	keys, err := v.delegations(pl.Delegations)
	if err != nil {
		return nil, err
	}
	var out []Verified
	for _, s := range pl.Segments {
		if s.Gap {
			continue
		}
		if err := v.authentic(s, keys); err != nil {
			return nil, err
		}
		out = append(out, Verified{Segment: s, Record: *s.Record, Init: *s.InitRecord})
	}
	if len(out) == 0 {
		return nil, nil
	}
	if err := v.fresh(out, pl.EndList, nowMs); err != nil {
		return nil, err
	}
	for _, entry := range out {
		atMs := nowMs
		if pl.EndList {
			atMs = entry.Record.CreatedMs // what was signed in its time stays signed
		}
		if err := permitted(entry, keys, atMs); err != nil {
			return nil, err
		}
	}
	if err := v.consistent(out, keys); err != nil {
		return nil, err
	}
	for _, d := range pl.Delegations {
		v.appointed.put(d.Hash(), struct{}{})
		v.regions.put(d.Key(), d.Region)
	}
	v.current = pl.Delegations
	v.remember(out)
	return out, nil
}

// delegations checks who appointed the signing keys. A key may have several delegations (a renewal): all are kept.
func (v *Verifier) delegations(list []Delegation) (map[KeyID][]Delegation, error) {
	for _, d := range list {
		if !v.appointed.has(d.Hash()) {
			if err := d.Verify(v.channel); err != nil {
				return nil, err
			}
		}
	}
	return byKey(list), nil
}

// authentic checks one entry by itself: its records are there, in their place, and signed by an appointed key.
func (v *Verifier) authentic(s Segment, keys map[KeyID][]Delegation) error {
	return v.authenticAs(KindSegment, 0, s, segmentPlace(s.Number, v.rendition), keys)
}

func (v *Verifier) authenticAs(kind Kind, part int, s Segment, where string, keys map[KeyID][]Delegation) error {
	if s.Record == nil {
		return refuse(NoRecord, where, "it has no record")
	}
	if s.InitRecord == nil {
		return refuse(NoRecord, where, "its init section has no record")
	}
	rec, init := *s.Record, *s.InitRecord
	switch {
	case rec.Kind != kind:
		return refuse(WrongKind, where, "its record is not that of a %s (kind %d)", map[Kind]string{KindSegment: "segment", KindPart: "part"}[kind], rec.Kind)
	case init.Kind != KindInit:
		return refuse(WrongKind, where, "the record beside its init section is not that of an init section (kind %d)", init.Kind)
	case rec.Rendition != v.rendition:
		return refuse(WrongRendition, where, "its record belongs to rendition %q", rec.Rendition)
	case init.Rendition != v.rendition:
		return refuse(WrongRendition, where, "the record of its init section belongs to rendition %q", init.Rendition)
	case rec.Sequence != s.Number || rec.Part != part:
		return refuse(WrongSequence, where, "its record is that of %s", rec.place())
	}
	if err := v.signed(rec, keys, where); err != nil {
		return err
	}
	if err := v.signed(init, keys, where+": its init section"); err != nil {
		return err
	}
	if rec.Init != init.Root {
		return refuse(WrongInit, where, "it was signed for another init section than the one listed")
	}
	return timing(s, where)
}

// timing compares the times that players read with the signed ones, allowing 1 ms for rounding.
func timing(s Segment, where string) error {
	if d := s.DurationMs - s.Record.DurationMs; d < -1 || d > 1 {
		return refuse(WrongTiming, where, "the playlist says it lasts %d ms, its record %d ms", s.DurationMs, s.Record.DurationMs)
	}
	if d := s.PDTms - s.Record.StartMs; s.PDTms != 0 && (d < -1 || d > 1) {
		return refuse(WrongTiming, where, "the playlist says it starts at %d ms, its record at %d ms", s.PDTms, s.Record.StartMs)
	}
	return nil
}

func (v *Verifier) signed(rec Record, keys map[KeyID][]Delegation, where string) error {
	appointed := keys[rec.Key]
	if len(appointed) == 0 {
		return refuse(DelegationKey, where, "the playlist has no delegation for the key %s that signed its record", rec.Key)
	}
	if old, ok := v.seen.get(rec.Sequence); ok && old == rec || v.genuine.has(rec.Hash()) {
		return nil
	}
	if !rec.SignedBy(v.channel, appointed[0].SigningKey) {
		return refuse(Signature, where, "the signature of its record does not match: the record was changed, or another key signed it")
	}
	if rec.Kind != KindSegment {
		v.genuine.put(rec.Hash(), struct{}{}) // one init record serves all segments of a playlist, and parts are listed for a while
	}
	return nil
}

// fresh refuses a playlist that was true once. One that has ended may be of any age: it does not pretend to be live.
func (v *Verifier) fresh(list []Verified, ended bool, nowMs int64) error {
	newest := list[len(list)-1].Record
	if newest.Sequence < v.head-MaxLagSegments {
		return refuse(Replay, "this playlist is a replay", "it ends with %s, but segment %d was there before", newest.place(), v.head)
	}
	if nowMs-newest.CreatedMs > MaxAgeMs && !ended {
		return refuse(Replay, "this playlist is a replay", "its newest record, %s, was signed %d minutes ago",
			newest.place(), (nowMs-newest.CreatedMs)/60_000)
	}
	for _, entry := range list {
		if ahead := entry.Record.CreatedMs - nowMs; ahead > MaxSkewMs {
			return refuse(Future, entry.Record.place(), "its record was signed %d s in the future: one of the clocks is wrong", ahead/1000)
		}
	}
	return nil
}

// permitted checks the segment's and the init section's record against the delegations of their keys; one must do.
func permitted(entry Verified, keys map[KeyID][]Delegation, nowMs int64) error {
	for _, rec := range [2]Record{entry.Record, entry.Init} {
		var first error
		ok := false
		for _, d := range keys[rec.Key] {
			err := d.permits(rec, nowMs)
			ok = ok || err == nil
			if first == nil {
				first = err
			}
		}
		if !ok {
			return first
		}
	}
	return nil
}

// consistent checks the records against each other and against those accepted before. Contents are the same in all regions, but each signs
// a chain of its own, which a CDN may lead a viewer away from and back to.
func (v *Verifier) consistent(list []Verified, keys map[KeyID][]Delegation) error {
	for i, entry := range list {
		rec := entry.Record
		old, seen := v.seen.get(rec.Sequence)
		var before Record
		known := false
		if i > 0 {
			before, known = list[i-1].Record, true
		} else {
			before, known = v.seen.get(rec.Sequence - 1)
		}
		if err := contradicts(rec, old, seen, before, known && v.region(rec, keys) == v.region(before, keys)); err != nil {
			return err
		}
	}
	return nil
}

// contradicts holds a record to an older one of the same place, and to that of the segment before it, as far as these are known.
func contradicts(rec, old Record, seen bool, before Record, known bool) error {
	if seen && old.Root != rec.Root && old.Variant == rec.Variant {
		e := refuse(Equivocation, rec.place(), "equivocation: the channel signed two different contents for it")
		e.Proof = []Record{old, rec}
		return e
	}
	if known && rec.Previous != before.Hash() {
		return refuse(BrokenChain, rec.place(), "its record does not follow the record of segment %d: one of them was left out or replaced",
			before.Sequence)
	}
	return nil
}

// region is the one that a record's key was appointed for.
func (v *Verifier) region(rec Record, keys map[KeyID][]Delegation) string {
	if appointed := keys[rec.Key]; len(appointed) > 0 {
		return appointed[0].Region
	}
	region, _ := v.regions.get(rec.Key)
	return region
}

func (v *Verifier) remember(list []Verified) {
	for _, entry := range list {
		v.seen.put(entry.Record.Sequence, entry.Record)
		if entry.Record.Sequence >= v.head {
			v.head, v.newest = entry.Record.Sequence, entry
		}
	}
}

// memory is a map that forgets its oldest keys.
type memory[K comparable, V any] struct {
	limit  int
	values map[K]V
	order  []K // oldest first, as a ring once it is full
	oldest int
}

func newMemory[K comparable, V any](limit int) *memory[K, V] {
	return &memory[K, V]{limit: limit, values: make(map[K]V)}
}

func (m *memory[K, V]) get(key K) (V, bool) {
	value, ok := m.values[key]
	return value, ok
}

func (m *memory[K, V]) has(key K) bool {
	_, ok := m.values[key]
	return ok
}

func (m *memory[K, V]) put(key K, value V) {
	if _, ok := m.values[key]; !ok {
		if len(m.order) < m.limit {
			m.order = append(m.order, key)
		} else {
			delete(m.values, m.order[m.oldest])
			m.order[m.oldest] = key
			m.oldest = (m.oldest + 1) % m.limit
		}
	}
	m.values[key] = value
}
