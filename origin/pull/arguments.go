package pull

import "fmt"

// For what is not H.264 and AAC already. One key frame a second: a session can only begin with one.
var (
	encodeVideo = []string{
		"-vf", "scale='min(1920,iw)':-2", "-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-pix_fmt", "yuv420p",
		"-b:v", "4000k", "-force_key_frames", "expr:gte(t,n_forced)",
	}
	encodeAudio = []string{"-c:a", "aac", "-b:a", "128k", "-ar", "48000", "-ac", "2"}
)

// arguments is ffmpeg's command line. A file is read in real time; the ingest holds back what comes faster from a URL.
func (s Source) arguments(f found) []string {
	args := []string{"-hide_banner", "-nostdin", "-loglevel", "error", "-fflags", "+genpts"}
	if !s.remote {
		args = append(args, "-re")
		if !s.once {
			args = append(args, "-stream_loop", "-1")
		}
	}
	args = append(append(args, s.input()...), "-map", fmt.Sprintf("0:%d", f.video))
	if f.copyVideo {
		args = append(args, "-c:v", "copy")
	} else {
		args = append(args, encodeVideo...)
	}
	if f.audio >= 0 {
		args = append(args, "-map", fmt.Sprintf("0:%d", f.audio))
		if f.copyAudio {
			args = append(args, "-c:a", "copy")
		} else {
			args = append(args, encodeAudio...)
		}
	}
	return append(args, "-flush_packets", "1", "-f", "mpegts", "pipe:1")
}
