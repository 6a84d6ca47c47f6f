package emulate

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	"slipstream/sim/emulate/link"
)

// kept is what Keep prints: where everything is.
type kept struct {
	Directory string      `json:"directory"` // for logs; it goes with the emulation
	Hosts     []keptHost  `json:"hosts"`     // for viewers, in the scenario's order
	Seeders   []keptHost  `json:"seeders"`
	Origin    keptHost    `json:"origin"`
	Tracker   keptHost    `json:"tracker"`
	URL       string      `json:"url"`      // of the origin, from any host
	Playlist  string      `json:"playlist"` // likewise
	Watch     string      `json:"watch"`    // likewise: the watch page
	Control   string      `json:"control"`  // of the origin, from outside of the hosts and past their lines
	Visits    []keptVisit `json:"visits"`   // which viewer comes when, and goes
}

type keptHost struct {
	Name        string `json:"name"`
	Address     string `json:"address"`
	Run         string `json:"run"`     // a script that runs its arguments on this host
	Browser     string `json:"browser"` // a script that runs Chromium with its arguments on this host
	UplinkBps   int64  `json:"uplinkBps"`
	DownlinkBps int64  `json:"downlinkBps"` // 0: unlimited
}

type keptVisit struct {
	Host    int   `json:"host"`
	JoinMs  int64 `json:"joinMs"`
	LeaveMs int64 `json:"leaveMs"`
	Crash   bool  `json:"crash"`
	Uploads bool  `json:"uploads"` // false: it is to pass nothing on
}

// keptCounts is what Keep prints at its end.
type keptCounts struct {
	LateMsP50 float64                `json:"lateMsP50"` // packets came so much later than they should have
	LateMsP99 float64                `json:"lateMsP99"`
	Counts    map[string]link.Counts `json:"counts"` // by host
}

// Keep sets the scenario's hosts up, with origin, tracker and seeders, prints one JSON
// object that says where they are, and keeps them until its input ends; then it prints
// another with what the links carried. Who the viewers are is up to the caller.
func Keep(ctx context.Context, cfg Config) error {
	stage, services, err := begin(ctx, &cfg)
	if err != nil {
		return err
	}
	defer stage.close()
	control, stop, err := services.proxy()
	if err != nil {
		return err
	}
	defer stop()
	answer, err := stage.describe(services, control)
	if err != nil {
		return err
	}
	out := json.NewEncoder(cfg.Out)
	if err := out.Encode(answer); err != nil {
		return fmt.Errorf("the hosts cannot be told: %w", err)
	}
	ended := make(chan struct{})
	go func() { // ends with the input, at the latest with the process
		defer close(ended)
		_, _ = io.Copy(io.Discard, cfg.In)
	}()
	select {
	case <-ended:
	case <-services.origin.done:
		return services.origin.failure()
	case <-services.publisher.done:
		return services.publisher.failure()
	case <-ctx.Done():
	}
	counts := keptCounts{stage.carrier.lateMs(0.5), stage.carrier.lateMs(0.99), map[string]link.Counts{}}
	for i, h := range stage.plan.hosts {
		counts.Counts[h.name] = stage.carrier.counts(i)
	}
	return out.Encode(counts)
}

func (s *stage) describe(v *services, control string) (*kept, error) {
	k := &kept{
		Directory: s.dir, Hosts: []keptHost{}, Seeders: []keptHost{},
		URL: v.url, Playlist: v.playlist, Watch: v.url + "/watch/demo", Control: control,
	}
	for i, h := range s.plan.hosts {
		scripts, err := s.scripts(i)
		if err != nil {
			return nil, err
		}
		told := keptHost{h.name, h.addr.String(), scripts.run, scripts.browser, 8 * h.up, 8 * h.down}
		switch {
		case i == s.plan.origin():
			k.Origin = told
		case i == s.plan.tracker():
			k.Tracker = told
		case h.viewers == 0:
			k.Seeders = append(k.Seeders, told)
		default:
			k.Hosts = append(k.Hosts, told)
		}
	}
	for _, v := range s.plan.visits {
		k.Visits = append(k.Visits, keptVisit{v.host, v.joinMs, v.leaveMs, v.crash, !v.noUpload})
	}
	return k, nil
}
