package emulate

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// build makes the program that viewers and origin run.
func build(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("real viewers take real time")
	}
	needHosts(t)
	if _, err := exec.LookPath("ffmpeg"); err != nil {
		t.Skip("the publisher is ffmpeg, which is not installed")
	}
	path := filepath.Join(t.TempDir(), "slipstream")
	if said, err := exec.Command("go", "build", "-trimpath", "-o", path, "slipstream").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	return path
}

func TestRealPrograms(t *testing.T) {
	program := build(t)
	t.Run("viewers carry the stream for each other", func(t *testing.T) { carryTheStream(t, program) })
	t.Run("kept hosts are there until the input ends", func(t *testing.T) { keepHosts(t, program) })
}

func carryTheStream(t *testing.T, program string) {
	cfg := parse(t, `
duration: 24s
measureAfter: 10s
viewers:
  count: 3
  arriveOver: 2s
  lines: [{ uplink: 3Mbps, downlink: 20Mbps }]
network: { oneWay: 30ms }
`)
	var out bytes.Buffer
	if err := Run(context.Background(), Config{Scenario: cfg, Program: program, JSON: true, Out: &out}); err != nil {
		t.Fatal(err)
	}
	var r Report
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Fatalf("%v: %s", err, out.String())
	}
	t.Log(out.String())
	switch {
	case r.Viewers != 3 || r.NeverStarted != 0 || r.StartupMsP50 == 0:
		t.Error("not everybody saw a picture")
	case r.P2PBytes == 0 || r.UploadedBytes == 0 || r.Offload <= 0:
		t.Error("nothing went from viewer to viewer")
	case r.RejectedLeaves != 0:
		t.Error("an honest room sent something that does not verify")
	case r.CDN.MediaBytes == 0 || r.CDNCopies < 0.5:
		t.Error("the origin counted less than a copy")
	case r.Bound.Offload < 0.6 || r.Bound.Offload > 0.67 || r.BoundShare == 0:
		t.Errorf("three viewers with good lines have a bound of 2/3, not %v", r.Bound.Offload)
	case r.Links.UplinkBytes < r.UploadedBytes/2 || r.Links.UplinkUse <= 0 || r.Links.UplinkUse > 1:
		t.Error("what was uploaded did not go through the uplinks")
	}
}

func keepHosts(t *testing.T, program string) {
	in, endInput := io.Pipe()
	out, told := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := Keep(context.Background(), Config{Scenario: parse(t, twoHosts), Program: program, In: in, Out: told})
		told.CloseWithError(err)
		ended <- err
	}()
	var where kept
	decoder := json.NewDecoder(out)
	if err := decoder.Decode(&where); err != nil {
		t.Fatal(err)
	}
	if len(where.Hosts) != 2 || len(where.Visits) != 2 || where.Hosts[0].UplinkBps != 4_000_000 {
		t.Errorf("told: %+v", where)
	}
	// From outside, and from a host over its line.
	response, err := http.Get(where.Control + "/stats.json")
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("the origin does not answer: %v", err)
	}
	response.Body.Close()
	said, err := exec.Command(where.Hosts[1].Run, program, "peer", "--duration=3s", "--json", where.Playlist).Output()
	if err != nil || !strings.Contains(string(said), `"playing":1`) {
		t.Errorf("a viewer on a kept host said %s: %v", said, err)
	}
	endInput.Close()
	var counts keptCounts
	if err := decoder.Decode(&counts); err != nil {
		t.Fatal(err)
	}
	if counts.Counts["host-1"].ReceivedBytes == 0 || counts.Counts["host-0"].ReceivedBytes != 0 {
		t.Errorf("counted %+v", counts.Counts)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
