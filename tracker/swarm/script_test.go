package swarm

import (
	"bufio"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"slipstream/tracker/announce"
)

var rewrite = flag.Bool("rewrite", false, "write what happens into the scripts; read the difference before you keep it")

// TestScripts plays testdata/*.txt: lines that begin with ">" are events, what the swarm answers stands below them.
//
//	> 2s join 7 seeder        at 2 s: viewer 7 enters; words: seeder, play=180p,360p, subnet=N, idle, uplink=BPS
//	> 3s report 7 ready       words: ready, n=NEIGHBOURS, play=…, uplink=BPS, drop=ID:REASON, idle, media=BYTES,
//	                          rescues=LEAVES, uploaded=BYTES, stalls=MS
//	> 4s leave 7
//	> 5s tick
//	> 5s allow BPS
//	> 5s…90s tick             one tick every second
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := play(t, string(want))
			if *rewrite {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if got != string(want) {
				t.Errorf("%s tells another story now:\n%s", file, got)
			}
		})
	}
}

func play(t *testing.T, script string) string {
	var out strings.Builder
	s := New(Config{Seed: 1})
	for lines := bufio.NewScanner(strings.NewReader(script)); lines.Scan(); {
		line := lines.Text()
		if strings.HasPrefix(line, "#") || line == "" {
			fmt.Fprintln(&out, line)
		}
		words := strings.Fields(line)
		if len(words) < 3 || words[0] != ">" {
			continue
		}
		fmt.Fprintln(&out, line)
		from, to, span := strings.Cut(words[1], "…")
		if !span {
			to = from
		}
		for ms := seconds(t, from); ms <= seconds(t, to); ms += 1000 {
			for _, a := range s.Handle(ms, scriptEvent(t, words[2:])) {
				if span {
					fmt.Fprintf(&out, "  %ds ", ms/1000)
				}
				fmt.Fprintf(&out, "  %s\n", describe(a))
			}
		}
	}
	return out.String()
}

func seconds(t *testing.T, s string) int64 {
	n, err := strconv.ParseInt(strings.TrimSuffix(s, "s"), 10, 64)
	if err != nil {
		t.Fatalf("not a time: %s", s)
	}
	return n * 1000
}

func number(t *testing.T, s string) uint64 {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		t.Fatalf("not a number: %s", s)
	}
	return n
}

func scriptEvent(t *testing.T, words []string) Event {
	if words[0] == "tick" {
		return Tick{}
	}
	id := number(t, words[1])
	if words[0] == "allow" {
		return Allow{Room: "room", UploadBps: int64(id)}
	}
	join := Join{Room: "room", Viewer: id, Role: announce.Viewer, Renditions: []string{"360p"}}
	report := Report{Viewer: id, Renditions: []string{"360p"}}
	for _, w := range words[2:] {
		key, value, _ := strings.Cut(w, "=")
		switch key {
		case "seeder":
			join.Role, join.Renditions = announce.Seeder, nil
		case "ready":
			report.Ready = true
		case "play":
			join.Renditions = strings.Split(value, ",")
			report.Renditions = join.Renditions
		case "subnet":
			join.SubnetKey = number(t, value)
		case "n":
			report.Neighbours = int(number(t, value))
		case "uplink":
			report.UplinkBps = int64(number(t, value))
			join.UplinkBps = report.UplinkBps
		case "idle":
			join.NoUpload, report.NoUpload = true, true
		case "media":
			report.MediaBytes = int64(number(t, value))
		case "rescues":
			report.Rescues = int64(number(t, value))
		case "uploaded":
			report.Uploaded = int64(number(t, value))
		case "stalls":
			report.StallMs = int64(number(t, value))
		case "drop":
			other, reason, _ := strings.Cut(value, ":")
			report.Dropped = append(report.Dropped, Drop{number(t, other), announce.Reason(reason)})
		default:
			t.Fatalf("unknown word: %s", w)
		}
	}
	switch words[0] {
	case "join":
		return join
	case "leave":
		return Leave{Viewer: id}
	case "report":
		return report
	}
	t.Fatalf("unknown event: %v", words)
	return nil
}

func describe(a Action) string {
	switch a := a.(type) {
	case Introduce:
		return fmt.Sprintf("%d offers to %d", a.A, a.B)
	case Gone:
		return fmt.Sprintf("%d hears that %d is gone", a.Viewer, a.Neighbour)
	case Expel:
		return fmt.Sprintf("%d is expelled", a.Viewer)
	case Cap:
		return fmt.Sprintf("%d uploads %d b/s at most", a.Viewer, a.UploadBps)
	case Duty:
		if len(a.Duties) == 0 {
			return fmt.Sprintf("%d has no duty", a.Viewer)
		}
		s := fmt.Sprintf("%d fetches", a.Viewer)
		for _, d := range a.Duties {
			s += fmt.Sprintf(" %s:%s", d.Rendition, drawMask(d.Stripes))
		}
		return s
	}
	return fmt.Sprint(a)
}

// drawMask draws stripe 0 leftmost.
func drawMask(mask uint16) string {
	b := slices.Repeat([]byte("."), announce.Stripes)
	for i := range b {
		if mask>>i&1 == 1 {
			b[i] = '#'
		}
	}
	return string(b)
}
