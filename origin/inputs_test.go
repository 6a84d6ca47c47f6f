package origin

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"slipstream/origin/disktest"
	"slipstream/origin/logtest"
	"slipstream/origin/transcode"
)

// camera is an encoder of somebody's own: ffmpeg with a test picture.
func camera(t *testing.T, at Ready, key, size string, sound bool) (stop func()) {
	t.Helper()
	args := "-nostdin -loglevel error -re -f lavfi -i testsrc2=size=" + size + ":rate=30"
	if sound {
		args += " -re -f lavfi -i sine=frequency=440:sample_rate=48000 -c:a aac"
	}
	cmd := exec.Command("ffmpeg", strings.Fields(args+" -c:v libx264 -preset ultrafast -tune zerolatency -g 30 -pix_fmt yuv420p -f flv rtmp://"+at.RTMP+"/live/"+key)...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stopped := false
	stop = func() {
		if !stopped {
			stopped = true
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	}
	t.Cleanup(stop)
	return stop
}

// onAir is what the statistics say of who publishes.
type onAir struct {
	Connected, Slate bool
	Source           string
}

// waitFor waits until the statistics say so.
func waitFor(t *testing.T, at Ready, what string, is func(onAir) bool) {
	t.Helper()
	var stats struct{ Channels []struct{ Publisher onAir } }
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		_, body := get(t, "http://"+at.HTTP+"/stats.json")
		if err := json.Unmarshal([]byte(body), &stats); err != nil {
			t.Fatal(err)
		}
		if is(stats.Channels[0].Publisher) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not %s, but %+v", what, stats.Channels[0].Publisher)
		}
	}
}

// A viewer sees one stream, without a gap, a discontinuity or a hole in picture or sound, through the loss of the publisher, slate, a
// publisher without sound and of another size, its backup, and the return; and one ffmpeg makes all of it.
func TestOutputNeverStops(t *testing.T) {
	if err := transcode.Check(); err != nil {
		t.Skip(err)
	}
	t.Parallel()
	var log logtest.Buffer
	cfg := small(t, &log)
	cfg.Slate, cfg.Backup, cfg.InputSteady = "black", []string{"demo"}, 2*time.Second
	at, stop := running(t, cfg)
	key, backupKey := at.Channels[0].StreamKey, at.Channels[0].BackupKey

	kill := camera(t, at, key, "160x90", true)
	numbers, _ := window(t, at, 2)
	kill()
	waitFor(t, at, "slate", func(is onAir) bool { return is.Slate && !is.Connected })
	slate, _ := window(t, at, len(numbers)+2)
	kill = camera(t, at, key, "90x90", false)
	waitFor(t, at, "the publisher", func(is onAir) bool { return is.Connected && is.Source == "RTMP" })
	killBackup := camera(t, at, backupKey, "160x90", true)
	silent, _ := window(t, at, len(slate)+2)
	kill()
	waitFor(t, at, "the backup", func(is onAir) bool { return is.Connected && is.Source == "RTMP, backup" })
	numbers, _ = window(t, at, len(silent)+1)
	camera(t, at, key, "160x90", true)
	waitFor(t, at, "the publisher again", func(is onAir) bool { return is.Connected && is.Source == "RTMP" })
	killBackup()
	numbers, playlist := window(t, at, len(numbers)+3)

	continuous(t, numbers, playlist)
	steady(t, at, 2*(len(numbers)-1))
	var report bytes.Buffer
	if err := Verify(t.Context(), "http://"+at.HTTP+"/live/demo/index.m3u8", "", &report); err != nil {
		t.Errorf("%v\n%s", err, &report)
	}
	said, err := exec.Command("ffmpeg", "-hide_banner", "-nostats", "-live_start_index", "0", "-t", fmt.Sprint(2*(len(numbers)-1)), "-i",
		"http://"+at.HTTP+"/live/demo/90p/index.m3u8", "-vf", "blackdetect=d=1", "-af", "silencedetect=d=1", "-f", "null", "-").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	if n := strings.Count(string(said), "black_start"); n != 1 {
		t.Errorf("there is not one stretch of black, but %d:\n%s", n, said)
	}
	if n := strings.Count(string(said), "silence_start"); n != 1 {
		t.Errorf("there is not one stretch of silence, but %d:\n%s", n, said)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	if n := strings.Count(log.String(), "ffmpeg was started"); n != 1 {
		t.Errorf("ffmpeg was started %d times:\n%s", n, log.String())
	}
}

// A film that is pulled can be the backup: it is on the air until somebody publishes, and when nobody does any more.
func TestAPulledFilmIsTheBackup(t *testing.T) {
	film := clip(t)
	t.Parallel()
	var log logtest.Buffer
	cfg := small(t, &log)
	cfg.Pull = map[string]string{"demo/backup": film}
	cfg.InputSteady = time.Second
	at, _ := running(t, cfg)
	backup := func(is onAir) bool { return is.Connected && is.Source == "file, backup" }
	waitFor(t, at, "the film", backup)
	kill := camera(t, at, at.Channels[0].StreamKey, "160x90", false)
	waitFor(t, at, "the publisher", func(is onAir) bool { return is.Source == "RTMP" })
	kill()
	waitFor(t, at, "the film again", backup)
	numbers, playlist := window(t, at, 4)
	continuous(t, numbers, playlist)
}

// The disk is full, and ffmpeg is killed again and again in mid-segment: what a viewer is told of is whole and signed, what is missing is
// marked, the numbers go on, and so do they after a restart.
func TestAFullDiskAndADyingEncoder(t *testing.T) {
	t.Parallel()
	film := clip(t)
	disk := disktest.Small(t)
	var log logtest.Buffer
	cfg := small(t, &log)
	cfg.DataDir = filepath.Join(disk, "data")
	cfg.Pull = map[string]string{"demo": film}
	cfg.LowLatency, cfg.DVR = true, time.Hour
	at, stop := running(t, cfg)
	numbers, _ := window(t, at, 1)
	disktest.Fill(t, disk)
	window(t, at, len(numbers)+2)
	encoders := regexp.MustCompile(`"ffmpeg was started" .*pid=(\d+)`)
	for range 3 {
		started := encoders.FindAllStringSubmatch(log.String(), -1)
		pid, err := strconv.Atoi(started[len(started)-1][1])
		if err != nil {
			t.Fatal(err)
		}
		numbers, _ = window(t, at, len(numbers))
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(20 * time.Second); len(encoders.FindAllString(log.String(), -1)) == len(started); time.Sleep(20 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("ffmpeg is not started again:\n%s", log.String())
			}
		}
		numbers, _ = window(t, at, len(numbers)+1)
	}
	numbers, playlist := window(t, at, len(numbers)+1)
	for i := 1; i < len(numbers); i++ {
		if numbers[i] != numbers[i-1]+1 {
			t.Errorf("number %d follows %d:\n%s", numbers[i], numbers[i-1], playlist)
		}
	}
	if n := strings.Count(playlist, "#EXT-X-DISCONTINUITY\n"); n != 3 {
		t.Errorf("three deaths left %d discontinuities:\n%s", n, playlist)
	}
	verify := func() {
		t.Helper()
		var report bytes.Buffer
		if err := Verify(t.Context(), "http://"+at.HTTP+"/live/demo/index.m3u8", "", &report); err != nil {
			t.Errorf("%v\n%s", err, &report)
		}
	}
	verify()
	if strings.Contains(log.String(), "level=ERROR") && strings.Contains(log.String(), "was left out") {
		t.Errorf("something was left out:\n%s", log.String())
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	at, _ = running(t, cfg)
	again, _ := window(t, at, 1)
	if again[0] <= numbers[len(numbers)-1] {
		t.Errorf("after a restart %d comes again: %d was published", again[0], numbers[len(numbers)-1])
	}
	verify()
}
