package origin

import (
	"os/exec"
	"strings"
	"testing"

	"slipstream/origin/logtest"
	"slipstream/origin/transcode"
)

// What stock ffmpeg sends as CMAF ingest goes on the air, in each of its three shapes.
func TestFFmpegPublishesByCMAFIngest(t *testing.T) {
	if err := transcode.Check(); err != nil {
		t.Skip(err)
	}
	const source = "-nostdin -loglevel error -re -f lavfi -i testsrc2=size=160x90:rate=30 -f lavfi -i sine=sample_rate=48000 " +
		"-c:v libx264 -preset ultrafast -bf 2 -g 30 -pix_fmt yuv420p -c:a aac "
	for name, arguments := range map[string]string{
		"one file without an end": "-f mp4 -movflags +cmaf+frag_keyframe+empty_moov+default_base_moof -method PUT URL/live.mp4",
		"DASH":                    "-f dash -streaming 1 -seg_duration 2 -window_size 3 -extra_window_size 0 -method PUT URL/live.mpd",
		"HLS":                     "-f hls -hls_segment_type fmp4 -hls_time 2 -hls_list_size 3 -hls_flags delete_segments -method PUT URL/live.m3u8",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log logtest.Buffer
			at, _ := running(t, small(t, &log))
			url := "http://" + at.HTTP + "/ingest/" + at.Channels[0].StreamKey
			publisher := exec.CommandContext(t.Context(), "ffmpeg", strings.Fields(source+strings.ReplaceAll(arguments, "URL", url))...)
			var said logtest.Buffer
			publisher.Stderr = &said
			if err := publisher.Start(); err != nil {
				t.Fatal(err)
			}
			defer func() {
				_ = publisher.Process.Kill()
				_ = publisher.Wait()
				if t.Failed() {
					t.Logf("ffmpeg said %s\nthe log: %s", said.String(), log.String())
				}
			}()
			numbers, playlist := window(t, at, 6)
			continuous(t, numbers, playlist)
			steady(t, at, 8)
			if _, stats := get(t, "http://"+at.HTTP+"/stats.json"); !strings.Contains(stats, `"source":"CMAF"`) {
				t.Errorf("the statistics do not say who publishes: %s", stats)
			}
			if strings.Count(log.String(), "a publication begins") != 1 || strings.Contains(log.String(), "level=WARN") {
				t.Errorf("there is not exactly one session, without a warning:\n%s", log.String())
			}
			if strings.Contains(said.String(), "HTTP error") {
				t.Errorf("ffmpeg was refused something: %s", said.String())
			}
		})
	}
}
