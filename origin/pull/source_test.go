package pull

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"slipstream/origin/child"
)

func TestWhatCanBePulled(t *testing.T) {
	here, err := filepath.Abs("pull.go")
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"pull.go":                                   here,
		"http://host/live/demo/index.m3u8":          "http://host/live/demo/index.m3u8",
		"HTTPS://user:pass@host:8443/a?token=x#top": "https://host:8443/a",
	} {
		s, err := Parse(text)
		if err != nil || s.String() != want {
			t.Errorf("%s is called %q, %v; want %q", text, s, err, want)
		}
	}
	s := parse(t, "https://user:pass@host/a?token=x")
	if address := s.input()[len(s.input())-1]; address != "https://user:pass@host/a?token=x" {
		t.Errorf("ffmpeg is told %q", address)
	}
}

func TestWhatCannotBePulled(t *testing.T) {
	for text, want := range map[string]string{
		"":                              "is no file",
		"/nowhere.mp4":                  "the source cannot be read: open /nowhere.mp4: no such file",
		"concat:/a.ts|/b.ts":            "the source cannot be read",
		".":                             "is no file",
		"rtmp://user:hunter2@host/live": "only files and http or https addresses can be pulled",
		"file:///etc/passwd":            "only files and http or https addresses can be pulled",
		"http://":                       "what follows http:// is no address",
		"http:///a":                     "what follows http:// is no address",
		"https://u:hunter2@ho st/":      "what follows https:// is no address",
		"https://u:hunter2@h:port/%zz":  "what follows https:// is no address",
	} {
		if _, err := Parse(text); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
	if _, err := ParseOnce("http://host/"); err == nil || !strings.Contains(err.Error(), "only a file can be played once") {
		t.Errorf("an address once: %v", err)
	}
}

func TestWhatIsNoFilm(t *testing.T) {
	if _, err := child.Look("ffmpeg"); err != nil {
		t.Skip(err)
	}
	dir := t.TempDir()
	text, list, tone := filepath.Join(dir, "text.mp4"), filepath.Join(dir, "list.m3u8"), filepath.Join(dir, "tone.avi")
	if err := errors.Join(os.WriteFile(text, []byte("this is no film"), 0o600), os.WriteFile(list, []byte("#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:1/a.ts\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("ffmpeg", "-nostdin", "-loglevel", "error", "-f", "lavfi", "-i", "sine=duration=0.1", tone).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for path, want := range map[string]string{text: "is no media file that can be played", list: "is no media file that can be played", tone: "has no picture"} {
		if err := parse(t, path).Check(t.Context()); err == nil || !strings.Contains(err.Error(), path+" "+want) {
			t.Errorf("%s: %v, want %q", path, err, want)
		}
	}
	t.Setenv("PATH", t.TempDir())
	missing := (*child.MissingError)(nil)
	if err := parse(t, text).Check(t.Context()); !errors.As(err, &missing) {
		t.Errorf("without ffprobe: %v", err)
	}
	if err := parse(t, "http://host/").Check(t.Context()); err != nil {
		t.Errorf("an address is looked at before its time: %v", err)
	}
}

func TestNoSecretIsLogged(t *testing.T) {
	s := parse(t, "https://user:hunter2@host/a.m3u8?token=abc")
	for said, want := range map[string]string{
		"https://user:hunter2@host/a.m3u8?token=abc: Server returned 404": "https://…host/a.m3u8…: Server returned 404",
		"nter2@host/a.m3u8: Input/output error":                           "…host/a.m3u8: Input/output error", // cut off at its beginning
		"n=abc: Input/output error":                                       "…: Input/output error",
		"[https @ 0x1] HTTP error 404":                                    "[https @ 0x1] HTTP error 404",
	} {
		err := s.redact(&child.ExitError{Program: "ffmpeg", Tail: said})
		if got := err.(*child.ExitError).Tail; got != want {
			t.Errorf("%q became %q, want %q", said, got, want)
		}
	}
	if other := errors.New("x"); s.redact(other) != other {
		t.Error("another error is not the same any more")
	}
}

func TestWhatIsTaken(t *testing.T) {
	const (
		avc    = `{"index":0,"codec_type":"video","codec_name":"h264","pix_fmt":"yuv420p","width":640,"height":360}`
		large  = `{"index":2,"codec_type":"video","codec_name":"h264","pix_fmt":"yuv420p","width":1280,"height":720}`
		aac    = `{"index":1,"codec_type":"audio","codec_name":"aac","profile":"LC"}`
		aac3   = `{"index":3,"codec_type":"audio","codec_name":"aac","profile":"LC"}`
		cover  = `{"index":0,"codec_type":"video","codec_name":"mjpeg","width":3000,"height":3000,"disposition":{"attached_pic":1}}`
		deep   = `{"index":0,"codec_type":"video","codec_name":"h264","pix_fmt":"yuv420p10le"}`
		hevc   = `{"index":0,"codec_type":"video","codec_name":"hevc","pix_fmt":"yuv420p"}`
		ac3    = `{"index":1,"codec_type":"audio","codec_name":"ac3"}`
		heaac  = `{"index":1,"codec_type":"audio","codec_name":"aac","profile":"HE-AAC"}`
		master = `{"programs":[{"streams":[` + avc + `,` + aac + `]},{"streams":[` + large + `,` + aac3 + `]}],"streams":[` + avc + `,` + aac + `,` + large + `,` + aac3 + `]}`
	)
	for name, c := range map[string]struct {
		report  string
		want    found
		refused bool
	}{
		"H.264 and AAC":           {streams(avc, aac), found{0, 1, true, true}, false},
		"no sound":                {streams(avc), found{0, -1, true, false}, false},
		"10 bits":                 {streams(deep), found{0, -1, false, false}, false},
		"HEVC and AC-3":           {streams(hevc, ac3), found{0, 1, false, false}, false},
		"HE-AAC":                  {streams(avc, heaac), found{0, 1, true, false}, false},
		"a cover before the film": {streams(cover, large, aac), found{2, 1, true, true}, false},
		"the largest, its sound":  {master, found{2, 3, true, true}, false},
		"a song with a cover":     {streams(cover, aac), found{}, true},
		"nothing":                 {`{}`, found{}, true},
		"no JSON":                 {`x`, found{}, true},
	} {
		got, err := judge([]byte(c.report))
		if got != c.want || (err != nil) != c.refused {
			t.Errorf("%s: %+v, %v; want %+v, refused %v", name, got, err, c.want, c.refused)
		}
	}
}

func streams(s ...string) string { return `{"programs":[],"streams":[` + strings.Join(s, ",") + `]}` }

// FuzzJudge reads what ffprobe tells of a source, which has names from outside in it.
func FuzzJudge(f *testing.F) {
	f.Add([]byte(streams(`{"index":0,"codec_type":"video","codec_name":"h264","pix_fmt":"yuv420p"}`)))
	f.Add([]byte(`{"programs":[{"streams":[{"index":1,"codec_type":"video","width":-1}]}],"streams":[null]}`))
	f.Fuzz(func(t *testing.T, report []byte) {
		got, err := judge(report)
		if err == nil && !json.Valid(report) {
			t.Errorf("of no JSON came %+v", got)
		}
	})
}

// FuzzParse reads addresses, and what ffmpeg may say about them.
func FuzzParse(f *testing.F) {
	f.Add("https://user:hunter2@host/a?token=x", "cannot open https://user:hunter2@host/a?token=x")
	f.Add("http://u@[::1]:80/", "")
	f.Fuzz(func(t *testing.T, text, said string) {
		s, err := Parse(text)
		if err != nil || !s.remote {
			return
		}
		exit := s.redact(&child.ExitError{Program: "ffmpeg", Tail: said + s.address}).(*child.ExitError)
		for _, secret := range s.secrets {
			if !strings.Contains(secret, "…") && strings.Contains(exit.Tail, secret) {
				t.Errorf("%q is told in %q", secret, exit.Tail)
			}
		}
	})
}
