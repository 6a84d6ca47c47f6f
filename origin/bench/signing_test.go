package bench

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"slipstream/origin/keys"
	"slipstream/origin/manifest"
)

// signingReport is what signing and hashing cost an origin, of all that it does.
type signingReport struct {
	Renditions  int     `json:"renditions"`
	MbPerSecond float64 `json:"mbitPerSecond"` // of all of them
	Seconds     float64 `json:"seconds"`
	Bars        []bar   `json:"bars"`

	SegmentUs   float64   `json:"segmentUs"`   // leaf hashes, root, record, signature of a mean segment, on one core
	ShareOfCore float64   `json:"shareOfCore"` // that these are when all renditions are published
	PublishOnly working   `json:"publishOnly"` // nobody asks for anything
	Serving     []working `json:"serving"`
	Transcoded  working   `json:"transcoded"` // Serving's last and the encoder of all renditions
}

// working is an origin's CPU in some situation.
type working struct {
	Readers   int     `json:"readers"`   // of each rendition
	OriginCPU float64 `json:"originCPU"` // in cores
	Share     float64 `json:"share"`     // of it that is signing and hashing
}

type signingPlan struct {
	renditions, kbps, rise int
	warmup, span           time.Duration
}

func benchSigning(args []string) (any, error) {
	var p signingPlan
	f := flags("signing")
	f.IntVar(&p.renditions, "renditions", 20, "renditions")
	f.IntVar(&p.kbps, "kbps", 1000, "bitrate of the first")
	f.IntVar(&p.rise, "rise", 263, "how much more each further one has: 6 Mb/s at the end")
	f.DurationVar(&p.warmup, "warmup", 3*time.Second, "until each measurement begins")
	f.DurationVar(&p.span, "span", 12*time.Second, "each measurement")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	return p.run()
}

func (p signingPlan) run() (*signingReport, error) {
	dir, err := os.MkdirTemp("", "slipstream-bench-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	r := &signingReport{Renditions: p.renditions, Seconds: p.span.Seconds()}
	perSecond := 0.0 // CPU
	for i := range p.renditions {
		kbps := p.kbps + i*p.rise
		r.MbPerSecond += float64(kbps) / 1000
		took, err := signed(filepath.Join(dir, "keys"), kbps*segmentMs/8)
		if err != nil {
			return nil, err
		}
		perSecond += took.Seconds() * 1000 / segmentMs
	}
	r.ShareOfCore = perSecond
	r.SegmentUs = perSecond / float64(p.renditions) * segmentMs / 1000 * 1e6
	for _, readers := range []int{0, 1, 5} {
		cores, err := p.work(filepath.Join(dir, fmt.Sprint(readers)), readers)
		if err != nil {
			return nil, err
		}
		at := working{readers, cores, perSecond / max(cores, perSecond)} // of a short run the clock may not tell any
		if readers == 0 {
			r.PublishOnly = at
		} else {
			r.Serving = append(r.Serving, at)
		}
	}
	last := r.Serving[len(r.Serving)-1]
	encoder, err := p.encoder()
	if err != nil {
		return nil, err
	}
	r.Transcoded = working{last.Readers, last.OriginCPU + encoder, perSecond / (last.OriginCPU + encoder)}
	r.Bars = []bar{
		atMost(fmt.Sprintf("signing and hashing, of the origin's CPU with %d readers of each rendition", last.Readers), last.Share, 0.02),
		atMost("signing and hashing, of the CPU of the origin with its encoders", r.Transcoded.Share, 0.02),
	}
	return r, nil
}

// signed is the CPU time of what the store computes for a segment before it publishes it. Hashes run as fast for any bytes.
func signed(dir string, size int) (time.Duration, error) {
	owner, err := keys.Open(dir, channelName, time.Now().UnixMilli())
	if err != nil {
		return 0, err
	}
	now := time.Now().UnixMilli()
	key, _, err := owner.Signer(now)
	if err != nil {
		return 0, err
	}
	data := content(1, size)
	const times = 10
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before := threadTime()
	for range times {
		leaves := manifest.LeafHashes(data)
		if _, err := manifest.SignRecord(manifest.Record{
			Kind: manifest.KindSegment, Session: now, Rendition: "r0", Sequence: now / segmentMs, StartMs: now / segmentMs * segmentMs,
			DurationMs: segmentMs, Size: int64(size), Root: manifest.Root(leaves), Init: manifest.Hash{1}, CreatedMs: now,
		}, owner.ID(), key); err != nil {
			return 0, err
		}
	}
	return (threadTime() - before) / times, nil
}

func threadTime() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
		return 0
	}
	return time.Duration(t.Nano())
}

// work is the CPU, in cores, of an origin that publishes all renditions, each of which some viewers watch.
func (p signingPlan) work(dir string, readers int) (cores float64, err error) {
	origin, at, err := stagePlan{renditions: p.renditions, kbps: p.kbps, rise: p.rise, http: "127.0.0.1:0", dir: dir}.open()
	if err != nil {
		return 0, err
	}
	defer origin.end()
	begin := time.Now().Add(p.warmup)
	end := begin.Add(p.span)
	var all sync.WaitGroup
	errs := make([]error, readers*p.renditions)
	for i := range errs {
		all.Go(func() {
			mine := at
			mine.Renditions = at.Renditions[i/readers:]
			time.Sleep(time.Duration(i) * segmentMs * time.Millisecond / time.Duration(len(errs)))
			errs[i] = new(seat).watch(mine, begin, end)
		})
	}
	time.Sleep(time.Until(begin))
	before := cpuSeconds(origin.cmd.Process.Pid)
	time.Sleep(time.Until(end))
	cores = (cpuSeconds(origin.cmd.Process.Pid) - before) / p.span.Seconds()
	all.Wait()
	for _, err := range errs {
		if err != nil {
			return 0, err
		}
	}
	return cores, nil
}

// encoder is the CPU, in cores, that ffmpeg takes to encode all renditions in real time, as the origin has it do: so many times that of a mean
// one, 720p30.
func (p signingPlan) encoder() (cores float64, err error) {
	const seconds = 4
	kbps := p.kbps + (p.renditions-1)*p.rise/2
	ffmpeg := exec.Command("ffmpeg", "-nostdin", "-loglevel", "error", "-f", "lavfi", "-i", fmt.Sprintf("testsrc2=size=1280x720:rate=30:duration=%d", seconds),
		"-c:v", "libx264", "-profile:v", "main", "-preset", "veryfast", "-pix_fmt", "yuv420p", "-b:v", fmt.Sprintf("%dk", kbps), "-f", "null", "-")
	if said, err := ffmpeg.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("ffmpeg: %w: %s", err, said)
	}
	used := ffmpeg.ProcessState.UserTime() + ffmpeg.ProcessState.SystemTime()
	return used.Seconds() / seconds * float64(p.renditions), nil
}
