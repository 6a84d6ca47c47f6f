package emulate

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"
)

// account is what one viewer says when it goes: the fields of `slipstream peer --json`
// that are of use here.
type account struct {
	Playing        int   `json:"playing"`
	StartupMs      int64 `json:"startupMsP50"`
	Stalls         int64 `json:"stalls"`
	StallMs        int64 `json:"stallMs"`
	LatencyMs      int64 `json:"latencyMsP50"`
	HTTPBytes      int64 `json:"httpBytes"`
	P2PBytes       int64 `json:"p2pBytes"`
	UploadedBytes  int64 `json:"uploadedBytes"`
	HTTPRequests   int64 `json:"httpRequests"`
	VerifiedLeaves int64 `json:"verifiedLeaves"`
	RejectedLeaves int64 `json:"rejectedLeaves"`
}

// watcher is a viewer's process.
type watcher struct {
	visit   visit
	number  int
	process *process // nil: did not come
	said    *output
}

// step is something that happens at a time after the start.
type step struct {
	atMs int64
	do   func() error
}

// audience lets the viewers come and go as planned, and counts.
type audience struct {
	stage    *stage
	services *services
	watchers []*watcher
	begun    time.Time

	start, warm, end traffic // what the origin had counted by then
}

// play runs the scenario to its end.
func (a *audience) play(ctx context.Context) error {
	cfg := &a.stage.plan.cfg
	steps := []step{
		{0, func() (err error) { a.start, err = a.services.traffic(ctx); return err }},
		{cfg.MeasureAfterMs, func() (err error) { a.warm, err = a.services.traffic(ctx); return err }},
	}
	for i, v := range a.stage.plan.visits {
		w := &watcher{visit: v, number: i, said: &output{}}
		a.watchers = append(a.watchers, w)
		if v.joinMs >= cfg.DurationMs {
			continue
		}
		steps = append(steps, step{v.joinMs, func() error { return a.join(w) }})
		if v.leaveMs < cfg.DurationMs {
			steps = append(steps, step{v.leaveMs, func() error { w.leave(); return nil }})
		}
	}
	for _, o := range cfg.Tracker.Outages {
		steps = append(steps,
			step{o.FromMs, func() error { a.services.tracker.signal(syscall.SIGKILL); return nil }},
			step{o.ToMs, a.services.startTracker})
	}
	slices.SortStableFunc(steps, func(a, b step) int { return int(a.atMs - b.atMs) })
	a.begun = time.Now()
	for _, s := range steps {
		if s.atMs >= cfg.DurationMs {
			break
		}
		if err := a.waitUntil(ctx, s.atMs); err != nil {
			return err
		}
		if err := s.do(); err != nil {
			return err
		}
	}
	if err := a.waitUntil(ctx, cfg.DurationMs); err != nil {
		return err
	}
	var err error
	a.end, err = a.services.traffic(ctx)
	a.dismiss()
	return err
}

// waitUntil waits for a time after the start, while the origin lives.
func (a *audience) waitUntil(ctx context.Context, atMs int64) error {
	timer := time.NewTimer(time.Until(a.begun.Add(time.Duration(atMs) * time.Millisecond)))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-a.services.origin.done:
		return a.services.origin.failure()
	case <-a.services.publisher.done:
		return a.services.publisher.failure()
	case <-timer.C:
		return nil
	}
}

func (a *audience) join(w *watcher) (err error) {
	cfg := &a.stage.plan.cfg
	args := []string{"peer", "--json"}
	if warmupMs := cfg.MeasureAfterMs - w.visit.joinMs; warmupMs > 0 {
		args = append(args, fmt.Sprintf("--warmup=%dms", warmupMs))
	}
	if !cfg.PeerToPeer {
		args = append(args, "--http-only")
	}
	if w.visit.noUpload {
		args = append(args, "--no-upload")
	}
	w.process, err = a.stage.run(w.visit.host, program{
		name: fmt.Sprintf("viewer-%d", w.number), path: a.services.program, args: append(args, a.services.playlist), stdout: w.said,
	})
	return err
}

// leave is a click on the tab's cross, or a crash.
func (w *watcher) leave() {
	if w.visit.crash {
		w.process.signal(syscall.SIGKILL)
		return
	}
	w.process.signal(syscall.SIGINT)
}

// dismiss ends who is still there.
func (a *audience) dismiss() {
	var all []*process
	for _, w := range a.watchers {
		if w.process != nil {
			all = append(all, w.process)
		}
	}
	endAll(all, 5*time.Second)
}

// account reads what a viewer said; false: it came to no end of its own.
func (w *watcher) account() (account, bool) {
	var told account
	text := strings.TrimSpace(w.said.String())
	return told, w.process != nil && text != "" && json.Unmarshal([]byte(text), &told) == nil
}
