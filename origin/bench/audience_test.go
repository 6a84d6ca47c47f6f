package bench

import (
	"bytes"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"slipstream/origin/benchtest"
)

// audienceReport is what viewers of a live rendition went through, all of them in one process of plain HTTP clients.
type audienceReport struct {
	Viewers  int     `json:"viewers"`
	Kbps     int     `json:"kbps"`
	Seconds  float64 `json:"seconds"`
	Bars     []bar   `json:"bars"`
	Segments int     `json:"segments"` // that viewers fetched, each as often as it was fetched

	SegmentMsP50  float64 `json:"segmentMsP50"` // from the request to the last byte
	SegmentMsP99  float64 `json:"segmentMsP99"`
	SegmentMsMax  float64 `json:"segmentMsMax"`
	PlaylistMsP50 float64 `json:"playlistMsP50"`
	PlaylistMsP99 float64 `json:"playlistMsP99"`

	MBPerSecond  float64 `json:"mbPerSecond"`
	OriginCPU    float64 `json:"originCPU"`  // in cores
	ViewersCPU   float64 `json:"viewersCPU"` // likewise, of them together
	MachineIdle  float64 `json:"machineIdle"`
	OriginFiles  int     `json:"originFiles"`  // open, connections included
	ViewersFiles int     `json:"viewersFiles"` // likewise
}

type audiencePlan struct {
	viewers, kbps int
	warmup, span  time.Duration
	profile       string
}

func benchAudience(args []string) (any, error) {
	var p audiencePlan
	f := flags("audience")
	f.IntVar(&p.viewers, "viewers", 1000, "viewers at a time")
	f.IntVar(&p.kbps, "kbps", 1000, "bitrate")
	f.DurationVar(&p.warmup, "warmup", 6*time.Second, "until the measurement begins")
	f.DurationVar(&p.span, "span", 30*time.Second, "measurement")
	f.StringVar(&p.profile, "cpuprofile", "", "file for a CPU profile of the origin")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	return p.run()
}

// seat is a viewer: what it saw since the measurement began.
type seat struct {
	segments, playlists []time.Duration
	bytes               int64
}

func (p audiencePlan) run() (*audienceReport, error) {
	dir, err := os.MkdirTemp("", "slipstream-bench-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	origin, at, err := stagePlan{renditions: 1, kbps: p.kbps, http: "127.0.0.1:0", dir: filepath.Join(dir, "data"), profile: p.profile}.open()
	if err != nil {
		return nil, err
	}
	defer origin.end()
	begin := time.Now().Add(p.warmup)
	end := begin.Add(p.span)
	seats := make([]seat, p.viewers)
	errs := make([]error, p.viewers)
	var all sync.WaitGroup
	for i := range seats {
		all.Go(func() {
			// People come whenever they like: evenly over a segment.
			time.Sleep(time.Duration(i) * segmentMs * time.Millisecond / time.Duration(p.viewers))
			errs[i] = seats[i].watch(at, begin, end)
		})
	}
	time.Sleep(time.Until(begin))
	origins, own, cores := cpuSeconds(origin.cmd.Process.Pid), selfSeconds(), benchtest.MachineTimes()
	r := &audienceReport{Viewers: p.viewers, Kbps: p.kbps, Seconds: p.span.Seconds()}
	r.OriginFiles, r.ViewersFiles = openFiles(origin.cmd.Process.Pid), openFiles(os.Getpid())
	time.Sleep(time.Until(end))
	r.OriginCPU = (cpuSeconds(origin.cmd.Process.Pid) - origins) / r.Seconds
	r.ViewersCPU = (selfSeconds() - own) / r.Seconds
	r.MachineIdle = cores.IdleShare()
	all.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, fmt.Errorf("a viewer gave up: %w", err)
		}
	}
	r.sum(seats)
	return r, nil
}

// watch polls the playlist as a player does, every segment's time, and fetches what is new.
func (s *seat) watch(at staged, begin, end time.Time) error {
	c, err := dial(at.HTTP)
	if err != nil {
		return err
	}
	defer c.conn.Close()
	playlist := request(at.playlist(at.Renditions[0]), "Accept-Encoding: identity")
	var text bytes.Buffer
	newest := int64(-1)
	for next := time.Now(); next.Before(end); next = next.Add(segmentMs * time.Millisecond) {
		time.Sleep(time.Until(next))
		text.Reset()
		asked := time.Now()
		if _, err := c.ask(playlist, &text); err != nil {
			return err
		}
		counts := asked.After(begin)
		if counts {
			s.playlists = append(s.playlists, time.Since(asked))
		}
		last, err := lastSegment(text.Bytes())
		if err != nil {
			return err
		}
		if newest < 0 {
			newest = last - 1
		}
		for newest < last {
			newest++
			asked := time.Now()
			size, err := c.ask(request(at.segment(at.Renditions[0], newest)), nil)
			switch {
			case err != nil:
				return err
			case counts:
				s.segments = append(s.segments, time.Since(asked))
				s.bytes += size
			}
		}
	}
	return nil
}

// lastSegment is the number of the newest segment that a playlist lists.
func lastSegment(playlist []byte) (number int64, err error) {
	line := bytes.TrimSpace(playlist)
	line = line[bytes.LastIndexByte(line, '\n')+1:]
	if _, err := fmt.Sscanf(path.Base(string(line)), "%d.m4s", &number); err != nil {
		return 0, fmt.Errorf("the playlist ends with %q: %w", line, err)
	}
	return number, nil
}

func (r *audienceReport) sum(seats []seat) {
	var segments, playlists []time.Duration
	var sent int64
	for _, s := range seats {
		segments, playlists = append(segments, s.segments...), append(playlists, s.playlists...)
		sent += s.bytes
	}
	slices.Sort(segments)
	slices.Sort(playlists)
	r.Segments = len(segments)
	r.SegmentMsP50, r.SegmentMsP99, r.SegmentMsMax = quantileMs(segments, 0.5), quantileMs(segments, 0.99), quantileMs(segments, 1)
	r.PlaylistMsP50, r.PlaylistMsP99 = quantileMs(playlists, 0.5), quantileMs(playlists, 0.99)
	r.MBPerSecond = float64(sent) / r.Seconds / 1e6
	r.Bars = []bar{
		atLeast("segments for each viewer, of those published", float64(r.Segments)/float64(r.Viewers)/(r.Seconds*1000/segmentMs), 0.95),
		atMost("ms for a segment, p99: what it lasts", r.SegmentMsP99, segmentMs),
	}
}

// quantileMs is that of sorted times.
func quantileMs(sorted []time.Duration, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return float64(sorted[int(q*float64(len(sorted)-1))].Microseconds()) / 1000
}
