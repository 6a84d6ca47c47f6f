package sched

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files in testdata anew; commit only a change that you understand")

// TestStories runs the scripts in testdata. A script is a story in blocks:
//
//	# what happens and why
//	at 100
//	have 2 o1 0-15
//	----
//	100 request 2 o1 0-7
//
// Above the line are commands, below it what the scheduler did about them; blocks
// are separated by an empty line. Times are ms since the story began.
//
// A story about one viewer begins with
//
//	viewer [seed=1] [cap=BYTES/S] [no-upload]
//
// and tells what the shell of that viewer would. The events of one block reach the
// core together, in one call. "o1" is object 1, "2" is neighbour 2:
//
//	at MS                                 the time of what follows
//	object o1 leaves=N due=MS|never|now [sequence=N] [rendition=N] [size=BYTES]
//	want o1 due=MS|never|now              move its deadline
//	remove o1
//	join 2 | gone 2
//	have 2 o1 PIECES|none | gain 2 o1 PIECES | coming 2 o1 PIECES | lost 2 o1
//	asks 2 o1 PIECES [mask=MASK] | cancels 2 o1 PIECES
//	refuses 2 o1 PIECES busy|not-held
//	sends 2 o1 LEAVES [bad]               shell: expected? verified : unsolicited
//	cdn o1 LEAVES [took=MS|so-far]        they came; so-far: the fetch goes on
//	cdn-fails o1 LEAVES [status=HTTP]
//	buffered 2 BYTES | drains 2 BYTES     what the send buffer holds; gave out
//	duty rendition=N stripes=A-B|none
//	cap BYTES/S                           told by the tracker; 0: none
//	tick
//	run MS [late=MS]                      ticks up to that time, each so much too late
//	show                                  the books
//
// A story about many begins with "swarm"; see swarm_test.go.
func TestStories(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no stories in testdata: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := retell(t, string(text))
			if *rewrite {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			compareLines(t, file, string(text), got)
		})
	}
}

// compareLines reports the first line that differs.
func compareLines(t *testing.T, name, want, got string) {
	t.Helper()
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range max(len(w), len(g)) {
		a, b := "(end)", "(end)"
		if i < len(w) {
			a = w[i]
		}
		if i < len(g) {
			b = g[i]
		}
		if a != b {
			t.Fatalf("%s:%d:\n told: %s\n  now: %s", name, i+1, a, b)
		}
	}
}

// retell runs a story and returns it with what really happened.
func retell(t *testing.T, text string) string {
	var out strings.Builder
	s := &story{t: t, added: map[int32]Event{}}
	for _, block := range strings.Split(strings.TrimRight(text, "\n"), "\n\n") {
		commands, _, golden := strings.Cut(block+"\n", "----\n")
		out.WriteString(commands)
		s.tell(commands)
		if golden {
			out.WriteString("----\n" + s.out.String())
			s.out.Reset()
		}
		out.WriteString("\n")
	}
	return strings.TrimRight(out.String(), "\n") + "\n"
}

type story struct {
	t     *testing.T
	out   strings.Builder
	core  *Core
	nowMs int64 // since the story began
	added map[int32]Event
	swarm *swarmStory
}

func (s *story) tell(block string) {
	var events []Event
	flush := func() {
		if len(events) > 0 {
			s.handle(events)
			events = nil
		}
	}
	for _, line := range strings.Split(block, "\n") {
		line, _, _ = strings.Cut(line, "#")
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		if words[0] == "swarm" {
			s.swarm = newSwarmStory(s, words)
			continue
		}
		if s.swarm != nil {
			s.swarm.command(words)
			continue
		}
		switch words[0] {
		case "viewer":
			s.core = New(s.config(words))
		case "at":
			flush()
			s.nowMs = s.number(words[1])
		case "run":
			flush()
			until, step := s.number(words[1]), int64(TickMs)
			if len(words) > 2 {
				step += s.number(strings.TrimPrefix(words[2], "late="))
			}
			for s.nowMs+step <= until {
				s.nowMs += step
				s.handle([]Event{{Kind: Tick}})
			}
		case "show":
			flush()
			s.show()
		default:
			events = append(events, s.events(words)...)
		}
	}
	flush()
}

func (s *story) handle(events []Event) {
	actions := s.core.Handle(epochMs+s.nowMs, events)
	checkBooks(s.t, s.core)
	for _, line := range describe(actions) {
		fmt.Fprintf(&s.out, "%d %s\n", s.nowMs, line)
	}
}

func (s *story) config(words []string) Config {
	cfg := DefaultConfig(uint32(s.option(words, "seed", 1)))
	cfg.UploadBytesPerSec = s.option(words, "cap", 0)
	cfg.NoUpload = has(words, "no-upload")
	return cfg
}

// events turns one command into what the shell would say.
func (s *story) events(words []string) []Event {
	e := Event{}
	rest := words[1:]
	if len(rest) > 0 && isNumber(rest[0]) {
		e.Neighbour, rest = int32(s.number(rest[0])), rest[1:]
	}
	if len(rest) > 0 && len(rest[0]) > 1 && rest[0][0] == 'o' && isNumber(rest[0][1:]) {
		e.Object, rest = int32(s.number(rest[0][1:])), rest[1:]
	}
	switch words[0] {
	case "object", "want", "remove":
		return []Event{s.objectEvent(words, e)}
	case "join", "gone", "lost", "tick":
		e.Kind = map[string]EventKind{"join": NeighbourAdd, "gone": NeighbourRemove, "lost": Lost, "tick": Tick}[words[0]]
		return []Event{e}
	case "buffered", "drains":
		e.Kind, e.Value = Buffered, s.number(rest[0])
		if words[0] == "drains" {
			e.Value = s.core.neighbour(e.Neighbour).buffered - e.Value
		}
		return []Event{e}
	case "cap":
		e.Kind, e.Neighbour, e.Value = Cap, 0, s.number(words[1])
		return []Event{e}
	case "duty":
		e.Kind, e.Rendition = Duty, int32(s.option(words, "rendition", 0))
		for _, stripe := range s.leaves(word(words, "stripes", "none")) {
			e.Value |= 1 << stripe
		}
		return []Event{e}
	case "have":
		e.Kind, e.Bits = Have, make([]byte, bitfieldLen(Pieces(s.added[e.Object].Leaves)))
		for _, leaf := range s.leaves(rest[0]) {
			setBit(e.Bits, leaf)
		}
		return []Event{e}
	}
	return s.leafEvents(words[0], e, rest)
}

func (s *story) objectEvent(words []string, e Event) Event {
	switch words[0] {
	case "remove":
		e.Kind = ObjectRemove
		return e
	case "object":
		e.Kind = ObjectAdd
		e.Leaves = int32(s.option(words, "leaves", 16))
		e.Size = s.option(words, "size", int64(e.Leaves)*leafSize)
		e.Sequence = s.option(words, "sequence", 0)
		e.Rendition = int32(s.option(words, "rendition", 0))
	default:
		e.Kind = ObjectWant
	}
	switch due := word(words, "due", "never"); due {
	case "never":
	case "now":
		e.Value = epochMs + s.nowMs
	default:
		e.Value = epochMs + s.number(due)
	}
	if e.Kind == ObjectAdd {
		s.added[e.Object] = e
	}
	return e
}

// leafEvents are one event for each leaf named.
func (s *story) leafEvents(command string, e Event, rest []string) []Event {
	kinds := map[string]EventKind{"gain": Gain, "coming": Coming, "asks": Request, "cancels": Cancel, "refuses": Refuse,
		"sends": Verified, "cdn": Verified, "cdn-fails": FetchFailed}
	kind, ok := kinds[command]
	if !ok || len(rest) == 0 {
		s.t.Fatalf("no such command: %s %v", command, rest)
	}
	leaves := s.leaves(rest[0])
	e.Kind = kind
	switch command {
	case "refuses":
		e.Value = int64(map[string]RefuseReason{"busy": Busy, "not-held": NotHeld}[rest[1]])
	case "cdn":
		e.Neighbour = CDN
	case "cdn-fails":
		e.Leaf, e.Last, e.Value = leaves[0], leaves[len(leaves)-1], s.option(rest, "status", 0)
		return []Event{e}
	}
	var events []Event
	bytes := int64(0)
	e.Mask = int32(s.option(rest, "mask", 15))
	for _, e.Leaf = range leaves {
		e.Piece = e.Leaf // of a kind that names pieces
		if command == "sends" {
			e.Kind = Verified
			if !s.core.Expects(e.Neighbour, e.Object, e.Leaf) {
				e.Kind = Unsolicited
			} else if has(rest, "bad") {
				e.Kind = Rejected
			}
		}
		bytes += min(leafSize, s.added[e.Object].Size-int64(e.Leaf)*leafSize)
		events = append(events, e)
	}
	if command == "cdn" && !has(rest, "so-far") {
		events = append(events, Event{Kind: FetchDone, Object: e.Object, Leaf: leaves[0],
			Last: leaves[len(leaves)-1], Value: bytes, ElapsedMs: s.option(rest, "took", 200)})
	}
	return events
}

// show prints the books.
func (s *story) show() {
	c := s.core
	for _, o := range c.objects {
		open := 0
		for i := o.open().next(0); i >= 0; i = o.open().next(i + 1) {
			open++
		}
		fmt.Fprintf(&s.out, "o%d: %d leaves missing, %d pieces open\n", o.id, o.missing, open)
	}
	for _, n := range c.neighbours {
		fmt.Fprintf(&s.out, "%d: owes %d KiB, rate %d KiB/s, strikes %d, lies %d, uninvited %d\n",
			n.id, n.inflight>>10, leafSize*1_000_000/n.leafUs>>10, n.strikes, n.lies, n.unsolicited)
	}
	fmt.Fprintf(&s.out, "CDN: %d requests, rate %d KiB/s, wait %d ms\n", len(c.cdn.started), leafSize*1_000_000/c.cdn.leafUs>>10, c.cdn.waitMs)
	fmt.Fprintf(&s.out, "uploads: %d queued, uplink %d KiB/s\n", len(c.uploads.queue), c.UplinkBytesPerSec()>>10)
}

// describe says what actions do, those that differ only in the leaf or piece in one
// line. The leaves of a request are told where they are not just the first.
func describe(actions []Action) []string {
	verbs := map[ActionKind]string{SendHave: "have", SendGain: "gain", SendComing: "coming", SendLost: "lost", SendRequest: "request",
		SendCancel: "cancel", SendRefuse: "refuse", SendLeaf: "send", Fetch: "fetch", Drop: "drop"}
	refusals := map[int32]string{Busy: " busy", NotHeld: " not-held", Cancelled: " cancelled"}
	drops := map[int32]string{BadLeaf: "bad leaf", Stalled: "stalled", Liar: "liar", Intruder: "intruder",
		TooManyAsked: "asks too much"}
	var lines []string
	for i := 0; i < len(actions); {
		a := actions[i]
		var leaves []int32
		for ; i < len(actions); i++ {
			b := actions[i]
			if b.Kind != a.Kind || b.Neighbour != a.Neighbour || b.Object != a.Object || b.Reason != a.Reason || b.Mask != a.Mask ||
				len(leaves) > 0 && (a.Kind == Fetch || a.Kind == SendHave || a.Kind == Drop) {
				break
			}
			leaves = append(leaves, max(b.Leaf, b.Piece))
		}
		switch a.Kind {
		case Fetch:
			lines = append(lines, fmt.Sprintf("fetch o%d %s", a.Object, span(a.Leaf, a.Last)))
		case Drop:
			lines = append(lines, fmt.Sprintf("drop %d: %s", a.Neighbour, drops[a.Reason]))
		case SendHave, SendLost:
			lines = append(lines, fmt.Sprintf("%s %d o%d", verbs[a.Kind], a.Neighbour, a.Object))
		default:
			mask := ""
			if a.Mask > 1 {
				mask = fmt.Sprintf(" mask=%d", a.Mask)
			}
			lines = append(lines, fmt.Sprintf("%s %d o%d %s%s%s", verbs[a.Kind], a.Neighbour, a.Object,
				ranges(leaves), refusals[a.Reason], mask))
		}
	}
	return lines
}

// ranges writes leaves as "0-3,7", in their order.
func ranges(leaves []int32) string {
	var parts []string
	for i := 0; i < len(leaves); {
		j := i
		for j+1 < len(leaves) && leaves[j+1] == leaves[j]+1 {
			j++
		}
		parts = append(parts, span(leaves[i], leaves[j]))
		i = j + 1
	}
	return strings.Join(parts, ",")
}

func span(first, last int32) string {
	if first == last {
		return fmt.Sprint(first)
	}
	return fmt.Sprintf("%d-%d", first, last)
}

// leaves reads what ranges writes.
func (s *story) leaves(text string) []int32 {
	var out []int32
	if text == "none" {
		return nil
	}
	for _, part := range strings.Split(text, ",") {
		first, last, isRange := strings.Cut(part, "-")
		if !isRange {
			last = first
		}
		for leaf := s.number(first); leaf <= s.number(last); leaf++ {
			out = append(out, int32(leaf))
		}
	}
	return out
}

func setBit(bits []byte, i int32) { bits[i>>3] |= 0x80 >> (i & 7) }

func isNumber(text string) bool {
	_, err := strconv.ParseInt(text, 10, 64)
	return err == nil
}

func (s *story) number(text string) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		s.t.Fatalf("not a number: %q", text)
	}
	return n
}

func has(words []string, word string) bool {
	for _, w := range words {
		if w == word {
			return true
		}
	}
	return false
}

// word finds the option name=value.
func word(words []string, name, otherwise string) string {
	for _, w := range words {
		if value, ok := strings.CutPrefix(w, name+"="); ok {
			return value
		}
	}
	return otherwise
}

func (s *story) option(words []string, name string, otherwise int64) int64 {
	return s.number(word(words, name, strconv.FormatInt(otherwise, 10)))
}
