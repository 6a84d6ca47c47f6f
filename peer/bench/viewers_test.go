package bench

import (
	"encoding/json"
	"fmt"
	"os"
	"time"

	"slipstream/origin/benchtest"
	"slipstream/peer"
)

// viewersReport is what 200 viewers on one machine experienced and cost. "Before" is the time before 40 % of them were
// killed, "after" what followed.
type viewersReport struct {
	Viewers   int     `json:"viewers"`
	Processes int     `json:"processes"`
	Kbps      int     `json:"kbps"`
	Seconds   float64 `json:"seconds"` // of measurement before the kill
	Killed    int     `json:"killed"`

	Bars []bar `json:"bars"`

	CDNCopies        float64 `json:"cdnCopies"` // bytes of segments that the origin sent / bytes that it published
	Offload          float64 `json:"offload"`   // 1 - bytes that the origin sent / bytes that the viewers watched
	Bill             bill    `json:"bill"`
	OffloadAfter     float64 `json:"offloadAfter"` // from ten seconds after the kill
	RecoverySeconds  float64 `json:"recoverySeconds"`
	CPUPerViewer     float64 `json:"cpuPerViewer"` // share of a core
	CPUSecondsPerGB  float64 `json:"cpuSecondsPerGB"`
	OriginCPU        float64 `json:"originCPU"`        // share of a core, this process: origin, tracker, measurement
	MachineIdle      float64 `json:"machineIdle"`      // share of the cores that was left over
	PacketsPerSecond float64 `json:"packetsPerSecond"` // UDP, sent by each viewer
	RSSPerViewerMiB  float64 `json:"rssPerViewerMiB"`
	SocketsPerViewer float64 `json:"socketsPerViewer"`

	MessagesPerSecond map[string]float64 `json:"messagesPerSecond"` // by each surviving viewer, by type, from the warm-up to the end

	Survivors []peer.Summary `json:"survivors"` // by process, from the warm-up to the end
	PerSecond []moment       `json:"perSecond"`
}

// moment is the state of affairs at one second.
type moment struct {
	Second      float64 `json:"second"` // since the first process was started
	MediaBytes  int64   `json:"mediaBytes"`
	CPUSeconds  float64 `json:"cpuSeconds"` // of all viewers
	RSSBytes    int64   `json:"rssBytes"`
	descriptors int64
}

type viewersPlan struct {
	slipstream            string
	processes, each, kill int
	kbps                  int
	ramp, warmup          time.Duration
	before, after         time.Duration
}

func benchViewers(args []string) (any, error) {
	var plan viewersPlan
	f := flags("viewers")
	f.StringVar(&plan.slipstream, "slipstream", "bin/slipstream", "the binary whose viewers are measured")
	f.IntVar(&plan.processes, "processes", 5, "viewer processes")
	f.IntVar(&plan.each, "each", 40, "viewers in each process")
	f.IntVar(&plan.kill, "kill", 2, "processes that are killed")
	f.IntVar(&plan.kbps, "kbps", 500, "bitrate")
	f.DurationVar(&plan.ramp, "ramp", 250*time.Millisecond, "between one viewer's joining and the next's in the same process")
	f.DurationVar(&plan.warmup, "warmup", 25*time.Second, "from the start until the measurement begins")
	f.DurationVar(&plan.before, "before", 40*time.Second, "measurement before the kill")
	f.DurationVar(&plan.after, "after", 30*time.Second, "measurement after the kill")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	if plan.processes < 1 || plan.kill >= plan.processes {
		return nil, fmt.Errorf("%d of %d processes cannot be killed: some must survive", plan.kill, plan.processes)
	}
	return plan.run()
}

func (p viewersPlan) run() (*viewersReport, error) {
	s, err := openStage(p.kbps, 1)
	if err != nil {
		return nil, err
	}
	defer s.close()
	began := time.Now()
	killAt := p.warmup + p.before
	end := killAt + p.after
	var children []*process
	defer func() {
		for _, child := range children {
			child.kill()
		}
	}()
	for range p.processes {
		child, err := start(p.slipstream, "peer", "--json", "-n", fmt.Sprint(p.each), "--ramp", p.ramp.String(),
			"--warmup", p.warmup.String(), "--duration", end.String(), s.url)
		if err != nil {
			return nil, err
		}
		children = append(children, child)
	}
	r := &viewersReport{
		Viewers: p.processes * p.each, Processes: p.processes, Kbps: p.kbps, Seconds: p.before.Seconds(), Killed: p.kill * p.each,
	}
	look := func() (m moment) {
		m.Second, m.MediaBytes = time.Since(began).Seconds(), s.bill().MediaBytes
		for _, child := range children {
			u := used(child.cmd.Process.Pid)
			m.CPUSeconds += u.cpuSeconds
			m.RSSBytes += u.rssBytes
			m.descriptors += u.sockets
		}
		return m
	}
	until := func(at time.Duration) moment {
		for next := time.Now(); ; {
			next = next.Add(time.Second)
			if stop := began.Add(at); next.After(stop) {
				time.Sleep(time.Until(stop))
				return look()
			}
			time.Sleep(time.Until(next))
			r.PerSecond = append(r.PerSecond, look())
		}
	}
	warm := until(p.warmup)
	billBefore, ownCPU, machine, packets := s.bill(), used(os.Getpid()).cpuSeconds, benchtest.MachineTimes(), datagrams()
	eve := until(killAt)
	r.Bill = s.bill().minus(billBefore)
	r.MachineIdle = machine.IdleShare()
	r.PacketsPerSecond = float64(datagrams()-packets) / (eve.Second - warm.Second) / float64(r.Viewers)
	r.OriginCPU = (used(os.Getpid()).cpuSeconds - ownCPU) / (eve.Second - warm.Second)
	for _, child := range children[p.processes-p.kill:] {
		child.kill()
	}
	calm := until(killAt + 10*time.Second)
	last := until(end)
	for _, child := range children[:p.processes-p.kill] {
		if err := child.wait(patience); err != nil {
			return nil, fmt.Errorf("a viewer process failed: %w", err)
		}
		var sum peer.Summary
		if err := json.Unmarshal(child.out.Bytes(), &sum); err != nil {
			return nil, fmt.Errorf("a viewer process did not print its summary: %w", err)
		}
		r.Survivors = append(r.Survivors, sum)
	}
	r.sum(p, warm, eve, calm, last)
	return r, nil
}

// sum draws the conclusions.
func (r *viewersReport) sum(p viewersPlan, warm, eve, calm, last moment) {
	bytesPerSecond := float64(p.kbps) * 1000 / 8
	survivors := r.Viewers - r.Killed
	offload := func(from, to moment, viewers int) float64 {
		return 1 - float64(to.MediaBytes-from.MediaBytes)/(to.Second-from.Second)/(bytesPerSecond*float64(viewers))
	}
	r.Offload, r.OffloadAfter = offload(warm, eve, r.Viewers), offload(calm, last, survivors)
	r.CDNCopies = float64(eve.MediaBytes-warm.MediaBytes) / (eve.Second - warm.Second) / bytesPerSecond
	cpu := eve.CPUSeconds - warm.CPUSeconds
	r.CPUPerViewer = cpu / (eve.Second - warm.Second) / float64(r.Viewers)
	r.CPUSecondsPerGB = cpu / (bytesPerSecond * float64(r.Viewers) * (eve.Second - warm.Second) / 1e9)
	r.RSSPerViewerMiB = float64(eve.RSSBytes) / float64(r.Viewers) / (1 << 20)
	r.SocketsPerViewer = float64(eve.descriptors) / float64(r.Viewers)
	r.RecoverySeconds = r.recovered(p, offload, survivors)
	r.MessagesPerSecond = messagesPerSecond(r.Survivors, p.before+p.after)
	var stalls, starting int64
	for _, s := range r.Survivors {
		stalls += s.Stalls
		starting += int64(s.Viewers - s.Playing)
	}
	r.Bars = []bar{
		atMost("CDN copies of each piece", r.CDNCopies, 3),
		atMost("stalls, before and after the kill", float64(stalls), 0),
		atMost("viewers without a picture", float64(starting), 0),
	}
	if p.kill > 0 {
		r.Bars = append(r.Bars, atMost("seconds until the offload is back at 90 % of before", r.RecoverySeconds, 10))
	}
}

// recovered is how many seconds after the kill a stretch of two segments began in which the offload was back at 90 % of
// before, and from which on it stayed there.
func (r *viewersReport) recovered(p viewersPlan, offload func(from, to moment, viewers int) float64, survivors int) float64 {
	const stretch = 2 * segmentMs / 1000
	kill := (p.warmup + p.before).Seconds()
	since := p.after.Seconds()
	for i := len(r.PerSecond) - 1; i >= stretch && r.PerSecond[i-stretch].Second >= kill; i-- {
		if offload(r.PerSecond[i-stretch], r.PerSecond[i], survivors) < 0.9*r.Offload {
			break
		}
		since = r.PerSecond[i-stretch].Second - kill
	}
	return since
}
