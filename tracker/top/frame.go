package top

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"

	"slipstream/tracker/server"
)

// Frame is what one look at a tracker shows.
type Frame struct {
	Source string       // where it comes from
	Now    server.Stats // what was told there
	Before server.Stats // what was told before that; zero: nothing, so that nothing is told of what grew
	Rows   int          // channels that are listed at most
}

// maxReasons, maxNodes and maxISPs are how many of each are named.
const maxReasons, maxNodes, maxISPs = 6, 8, 6

// String draws it, without anything that would move a terminal's cursor.
func (f Frame) String() string {
	var b strings.Builder
	s := f.Now
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%-9s"+format+"\n", append([]any{name}, args...)...)
	}
	line("tracker", "%s   %s", plain(f.Source, 100), time.UnixMilli(s.NowMs).UTC().Format("15:04:05 UTC"))
	line("here", "%s in %s, %s", count(s.Viewers, "viewer"), count(len(s.Rooms), "channel"), count(s.Seeders, "seeder"))
	line("joins", "%.1f/s, %s since it started; to the first neighbours p50 %s, p95 %s, p99 %s",
		s.JoinsPerSecond, thousands(s.Joins), millis(s.JoinMsP50), millis(s.JoinMsP95), millis(s.JoinMsP99))
	line("media", "%s from neighbours, %s stalled, %.1f copies, %s of the pairs in one ISP",
		percent(s.Offload, 1), percent(s.StallRatio, 2), s.Copies, percent(s.SameISP, 0))
	if len(s.ISPs) > 0 {
		line("isps", "%s", f.isps())
	}
	line("rejects", "%s", f.rejects())
	if len(s.Nodes) > 0 {
		line("nodes", "%s", f.nodes())
	}
	b.WriteByte('\n')
	f.channels(&b)
	return b.String()
}

// rejects names the reasons, those with the most first.
func (f Frame) rejects() string {
	all, before := f.Now.Rejects, f.Before.Rejects
	var sum, grown int64
	for reason, n := range all {
		sum += n
		grown += max(0, n-before[reason])
	}
	text := thousands(sum)
	if ms := f.Now.NowMs - f.Before.NowMs; f.Before.NowMs > 0 && ms > 0 {
		text += fmt.Sprintf(", %.1f/s now", float64(grown)*1000/float64(ms))
	}
	reasons := slices.SortedFunc(maps.Keys(all), func(a, b string) int { return cmp.Or(cmp.Compare(all[b], all[a]), cmp.Compare(a, b)) })
	for i, reason := range reasons {
		if i == maxReasons {
			text += fmt.Sprintf(", %d more reasons", len(reasons)-i)
			break
		}
		text += map[bool]string{true: ": ", false: ", "}[i == 0] + fmt.Sprintf("%s %s", plain(reason, 32), thousands(all[reason]))
	}
	return text
}

func (f Frame) nodes() string {
	var names []string
	for i, n := range f.Now.Nodes {
		if i == maxNodes {
			names = append(names, fmt.Sprintf("%d more", len(f.Now.Nodes)-i))
			break
		}
		names = append(names, fmt.Sprintf("%s %s %s", plain(n.Name, 24), plain(n.State, 16), millis(n.LagMs)))
	}
	return strings.Join(names, ", ")
}

// isps names those that have the most viewers.
func (f Frame) isps() string {
	var names []string
	for i, one := range f.Now.ISPs {
		if i == maxISPs {
			names = append(names, fmt.Sprintf("%d more", len(f.Now.ISPs)-i))
			break
		}
		names = append(names, fmt.Sprintf("%s %s", plain(one.ISP, 24), thousands(one.Waiting+one.Sharing+one.Taking+one.Resting)))
	}
	return strings.Join(names, ", ")
}

// channels lists them, the largest first.
func (f Frame) channels(b *strings.Builder) {
	rooms := slices.Clone(f.Now.Rooms)
	slices.SortStableFunc(rooms, func(x, y server.RoomStats) int {
		return cmp.Or(cmp.Compare(y.Viewers, x.Viewers), cmp.Compare(x.Channel, y.Channel))
	})
	fmt.Fprintf(b, "%-16s %9s %7s %5s %6s %6s %8s %8s %6s %8s %8s\n",
		"CHANNEL", "VIEWERS", "SEEDERS", "ROOMS", "READY", "NEIGHB", "OFFLOAD", "STALLED", "COPIES", "SAME ISP", "BEHIND")
	for i, r := range rooms {
		if i == f.Rows {
			fmt.Fprintf(b, "%d more\n", len(rooms)-i)
			break
		}
		fmt.Fprintf(b, "%-16s %9s %7s %5s %6s %6.1f %8s %8s %6.1f %8s %8s\n",
			plain(r.Channel, 16), thousands(r.Viewers), thousands(r.Seeders), thousands(r.Parts), percent(float64(r.Ready)/float64(max(r.Viewers, 1)), 0), r.NeighboursMean,
			percent(r.Offload, 1), percent(r.StallRatio, 2), r.Copies, percent(r.SameISP, 0), fmt.Sprintf("%.1f s", float64(r.LatencyMsMean)/1000))
	}
	if len(rooms) == 0 {
		b.WriteString("nobody is watching\n")
	}
}

// plain is what a terminal may be shown of a text from outside, cut to n characters.
func plain(s string, n int) string {
	out := make([]rune, 0, n)
	for _, r := range s {
		if len(out) == n {
			out[n-1] = '…'
			break
		}
		if !unicode.IsPrint(r) {
			r = '?'
		}
		out = append(out, r)
	}
	return string(out)
}

func percent(share float64, digits int) string { return fmt.Sprintf("%.*f %%", digits, 100*share) }

func millis(ms float64) string {
	if ms < 10 {
		return fmt.Sprintf("%.1f ms", ms)
	}
	return fmt.Sprintf("%.0f ms", ms)
}

func count(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return thousands(n) + " " + what
}

// thousands groups digits by commas.
func thousands[T int | int64](n T) string {
	s := fmt.Sprint(n)
	for at := len(s) - 3; at > 0 && s[at-1] != '-'; at -= 3 {
		s = s[:at] + "," + s[at:]
	}
	return s
}
