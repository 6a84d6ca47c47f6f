package bench

import (
	"os/exec"
	"testing"
	"time"
)

// The short forms ask what does not depend on the clock: that each benchmark measures what it says.

func TestTheOriginAndNginxServeTheSame(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath(nginxPath()); err != nil {
		t.Skip("nginx is not installed: make setup-nginx")
	}
	r, err := servePlan{connections: 4, rounds: 1, span: 50 * time.Millisecond}.run()
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Cases) != 7 || len(r.Bars) != len(r.Cases) {
		t.Fatalf("%d cases, %d bars", len(r.Cases), len(r.Bars))
	}
	for _, c := range r.Cases {
		if c.Ours.RequestsPerSecond <= 0 || c.Nginx.RequestsPerSecond <= 0 || c.Ratio.Median <= 0 || c.Ours.MsP50 > c.Ours.MsP99 {
			t.Errorf("%s: %+v", c.Name, c)
		}
	}
	if small, large := r.Cases[0].AnswerBytes, r.Cases[1].AnswerBytes; small != 250_000 || large != 1_500_000 {
		t.Errorf("segments have %v and %v bytes", small, large)
	}
	if plain, zipped := r.Cases[3].AnswerBytes, r.Cases[4].AnswerBytes; zipped >= plain {
		t.Errorf("a playlist has %v bytes, compressed %v", plain, zipped)
	}
}

func TestAnAudienceWatchesEverySegment(t *testing.T) {
	t.Parallel()
	r, err := audiencePlan{viewers: 20, kbps: 1000, warmup: time.Second, span: 5 * time.Second}.run()
	if err != nil {
		t.Fatal(err)
	}
	if r.Segments < 20 || r.SegmentMsP50 <= 0 || r.SegmentMsP99 > r.SegmentMsMax || r.OriginFiles < 20 {
		t.Errorf("%+v", r)
	}
}

func TestManyWaitForTheSameParts(t *testing.T) {
	t.Parallel()
	r, err := blockingPlan{clients: 50, parts: 6}.run()
	if err != nil {
		t.Fatal(err)
	}
	if r.Early != 0 || r.SpreadMsMax <= 0 || r.SpreadMsP50 > r.SpreadMsMax || r.DelayMsP50 <= 0 || r.Kbytes < 1 {
		t.Errorf("%+v", r)
	}
}

func TestSigningIsMeasured(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("ffmpeg"); err != nil {
		t.Skip("ffmpeg is not installed: make setup-ffmpeg")
	}
	r, err := signingPlan{renditions: 2, kbps: 1000, rise: 1000, span: 2 * time.Second}.run()
	if err != nil {
		t.Fatal(err)
	}
	if r.SegmentUs <= 0 || r.ShareOfCore <= 0 || len(r.Serving) != 2 || r.Transcoded.Share <= 0 || r.Transcoded.Share >= 1 || r.MbPerSecond != 3 {
		t.Errorf("%+v", r)
	}
}
