package sched

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// A trace is what one core was told and what it answered, recorded in the world of
// churn_test.go. The Go core and its TypeScript twin (player/src/sched) replay every
// trace and must answer the same, action for action.
//
// testdata/trace-NAME.jsonl.gz holds JSON lines. The first is
//
//	{"config": {"seed": …, "marginMs": …, …}}
//
// and each other one is one call of Handle:
//
//	{"now": ms, "events": [event, …], "actions": [action, …]}
//
// and optionally "expects": [[neighbour, object, leaf, 0 or 1], …], the answers of
// Expects before the call, and "uplink": bytes/s, where UplinkBytesPerSec changed by
// the call. Absent events or actions are none.
//
// An event or action is an array: its kind, then its fields, those of eventFields and
// actionFields below; bits are hexadecimal.

var eventNames = []string{
	"tick", "objectAdd", "objectWant", "objectRemove", "neighbourAdd", "neighbourRemove", "have", "gain", "coming", "lost",
	"request", "cancel", "refuse", "verified", "rejected", "unsolicited", "fetchDone", "fetchFailed", "buffered", "duty", "cap",
}

// eventFields are the fields that each kind has, in the order of the trace.
var eventFields = [][]string{
	Tick:            {},
	ObjectAdd:       {"Object", "Rendition", "Sequence", "Leaves", "Size", "Value"},
	ObjectWant:      {"Object", "Value"},
	ObjectRemove:    {"Object"},
	NeighbourAdd:    {"Neighbour"},
	NeighbourRemove: {"Neighbour"},
	Have:            {"Neighbour", "Object", "Bits"},
	Gain:            {"Neighbour", "Object", "Piece"},
	Coming:          {"Neighbour", "Object", "Piece"},
	Lost:            {"Neighbour", "Object"},
	Request:         {"Neighbour", "Object", "Piece", "Mask"},
	Cancel:          {"Neighbour", "Object", "Piece"},
	Refuse:          {"Neighbour", "Object", "Piece", "Value"},
	Verified:        {"Neighbour", "Object", "Leaf"},
	Rejected:        {"Neighbour", "Object", "Leaf"},
	Unsolicited:     {"Neighbour", "Object", "Leaf"},
	FetchDone:       {"Object", "Leaf", "Last", "Value", "ElapsedMs"},
	FetchFailed:     {"Object", "Leaf", "Last", "Value"},
	Buffered:        {"Neighbour", "Value"},
	Duty:            {"Rendition", "Value"},
	Cap:             {"Value"},
}

var actionNames = []string{
	"sendHave", "sendGain", "sendComing", "sendLost", "sendRequest", "sendCancel", "sendRefuse", "sendLeaf", "fetch", "drop",
}

var actionFields = [][]string{
	SendHave:    {"Neighbour", "Object"},
	SendGain:    {"Neighbour", "Object", "Piece"},
	SendComing:  {"Neighbour", "Object", "Piece"},
	SendLost:    {"Neighbour", "Object"},
	SendRequest: {"Neighbour", "Object", "Piece", "Mask"},
	SendCancel:  {"Neighbour", "Object", "Piece"},
	SendRefuse:  {"Neighbour", "Object", "Piece", "Reason"},
	SendLeaf:    {"Neighbour", "Object", "Leaf"},
	Fetch:       {"Object", "Leaf", "Last"},
	Drop:        {"Neighbour", "Reason"},
}

type traceLine struct {
	Config  *traceConfig `json:"config,omitempty"`
	Now     int64        `json:"now,omitempty"`
	Expects [][]int64    `json:"expects,omitempty"`
	Events  [][]any      `json:"events,omitempty"`
	Actions [][]any      `json:"actions,omitempty"`
	Uplink  int64        `json:"uplink,omitempty"`
}

type traceConfig struct {
	Seed              uint32 `json:"seed"`
	MarginMs          int64  `json:"marginMs"`
	StaggerMs         int64  `json:"staggerMs"`
	ProgressMs        int64  `json:"progressMs"`
	BusyBackoffMs     int64  `json:"busyBackoffMs"`
	LonelyGraceMs     int64  `json:"lonelyGraceMs"`
	GainIntervalMs    int64  `json:"gainIntervalMs"`
	PipelineMs        int64  `json:"pipelineMs"`
	QueueMs           int64  `json:"queueMs"`
	MaxFetches        int    `json:"maxFetches"`
	UploadBytesPerSec int64  `json:"uploadBytesPerSec"`
	NoUpload          bool   `json:"noUpload"`
}

// TestTraces replays the recorded traces, or records them anew with -rewrite.
func TestTraces(t *testing.T) {
	if *rewrite {
		recordTraces(t)
	}
	files, err := filepath.Glob("testdata/trace-*.jsonl.gz")
	if err != nil || len(files) == 0 {
		t.Fatalf("no traces: %v", err)
	}
	seen := map[string]int{}
	size := int64(0)
	for _, file := range files {
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		size += info.Size()
		t.Run(strings.TrimSuffix(filepath.Base(file), ".jsonl.gz"), func(t *testing.T) { replay(t, file, seen) })
	}
	if size > 2_500_000 {
		t.Errorf("%d bytes of traces; they are kept below 2.5 MB", size)
	}
	if seen["events"] < 100_000 {
		t.Errorf("%d events in all, at least 100,000 are wanted", seen["events"])
	}
	want := append([]string{"refuse 1", "refuse 2", "drop 1", "drop 2", "drop 3", "drop 4"}, eventNames...)
	for _, kind := range append(want, actionNames...) {
		if seen[kind] == 0 {
			t.Errorf("no trace has %q", kind)
		}
	}
}

func replay(t *testing.T, file string, seen map[string]int) {
	lines := readTrace(t, file)
	core := New(Config(*lines[0].Config))
	uplink := int64(0)
	for i, line := range lines[1:] {
		for _, e := range line.Expects {
			if got := core.Expects(int32(e[0]), int32(e[1]), int32(e[2])); got != (e[3] == 1) {
				t.Fatalf("line %d: Expects%v was %d", i+2, e[:3], e[3])
			}
		}
		events := make([]Event, len(line.Events))
		for j, fields := range line.Events {
			events[j] = parseEvent(t, fields)
			seen[eventNames[events[j].Kind]]++
		}
		seen["events"] += len(events)
		actions := core.Handle(line.Now, events)
		checkBooks(t, core)
		got := make([][]any, len(actions))
		for j, a := range actions {
			got[j] = formatAction(a)
			seen[actionNames[a.Kind]]++
			switch a.Kind {
			case SendRefuse:
				seen[fmt.Sprintf("refuse %d", a.Reason)]++
			case Drop:
				seen[fmt.Sprintf("drop %d", a.Reason)]++
			}
		}
		if text(got) != text(line.Actions) {
			t.Fatalf("line %d, %v:\n told: %s\n  now: %s", i+2, line.Events, text(line.Actions), text(got))
		}
		if line.Uplink != 0 {
			uplink = line.Uplink
		}
		if core.UplinkBytesPerSec() != uplink {
			t.Fatalf("line %d: uplink %d, was %d", i+2, core.UplinkBytesPerSec(), uplink)
		}
	}
}

func text(actions [][]any) string {
	if len(actions) == 0 {
		return "[]"
	}
	b, err := json.Marshal(actions)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

func readTrace(t *testing.T, file string) []traceLine {
	t.Helper()
	packed, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	var lines []traceLine
	d := json.NewDecoder(bufio.NewReader(z))
	d.UseNumber()
	for {
		var line traceLine
		if err := d.Decode(&line); err == io.EOF {
			break
		} else if err != nil {
			t.Fatalf("%s, line %d: %v", file, len(lines)+1, err)
		}
		lines = append(lines, line)
	}
	if len(lines) == 0 || lines[0].Config == nil {
		t.Fatalf("%s does not begin with a configuration", file)
	}
	return lines
}

func formatEvent(e Event) []any {
	return format(eventNames[e.Kind], eventFields[e.Kind], reflect.ValueOf(e))
}

func formatAction(a Action) []any {
	return format(actionNames[a.Kind], actionFields[a.Kind], reflect.ValueOf(a))
}

func format(name string, fields []string, v reflect.Value) []any {
	out := []any{name}
	for _, field := range fields {
		if f := v.FieldByName(field); field == "Bits" {
			out = append(out, hex.EncodeToString(f.Bytes()))
		} else {
			out = append(out, f.Int())
		}
	}
	return out
}

func parseEvent(t *testing.T, fields []any) Event {
	t.Helper()
	var e Event
	for kind, name := range eventNames {
		if name != fields[0] {
			continue
		}
		e.Kind = EventKind(kind)
		v := reflect.ValueOf(&e).Elem()
		for i, field := range eventFields[kind] {
			if field == "Bits" {
				e.Bits, _ = hex.DecodeString(fields[i+1].(string))
				continue
			}
			n, err := fields[i+1].(json.Number).Int64()
			if err != nil {
				t.Fatal(err)
			}
			v.FieldByName(field).SetInt(n)
		}
		return e
	}
	t.Fatalf("no such event: %v", fields)
	return e
}

// recordTraces lives through churn_test.go's two minutes several times and writes a file
// for each viewer that has a name.
func recordTraces(t *testing.T) {
	for world := range traceWorlds {
		recordWorld(t, world)
	}
}

const traceWorlds = 5

func recordWorld(t *testing.T, world int) {
	var recorders []*recorder
	c := newChurn(uint32(20260+world), func(v *viewer) {
		config := traceConfig(v.core.cfg)
		r := &recorder{viewer: v, world: world, lines: []traceLine{{Config: &config}}}
		v.observe = r.observe
		recorders = append(recorders, r)
		if world == traceWorlds-1 {
			v.hearCaps()
		}
	})
	c.net.run(epochMs + churnMs)
	for _, r := range recorders {
		t.Logf("%s: %d from the CDN, %d from neighbours, %d late, %d wasted, dropped %d", r.viewer.name,
			r.viewer.fromCDN, r.viewer.fromPeers, r.viewer.misses, r.viewer.wasted, r.viewer.drops)
		r.write(t)
	}
}

type recorder struct {
	viewer *viewer
	world  int
	lines  []traceLine
	uplink int64
}

func (r *recorder) observe(nowMs int64, events []Event, actions []Action) {
	line := traceLine{Now: nowMs, Expects: r.viewer.queries}
	r.viewer.queries = nil
	for _, e := range events {
		line.Events = append(line.Events, formatEvent(e))
	}
	for _, a := range actions {
		line.Actions = append(line.Actions, formatAction(a))
	}
	if now := r.viewer.core.UplinkBytesPerSec(); now != r.uplink {
		r.uplink, line.Uplink = now, now
	}
	r.lines = append(r.lines, line)
}

func (r *recorder) write(t *testing.T) {
	var packed bytes.Buffer
	z, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	out := json.NewEncoder(z)
	for _, line := range r.lines {
		if err := out.Encode(line); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join("testdata", fmt.Sprintf("trace-%d-%s.jsonl.gz", r.world, r.viewer.name))
	if err := os.WriteFile(file, packed.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}
