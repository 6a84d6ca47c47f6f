package pull

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"slipstream/origin/child"
)

// A Source is where a channel's stream is fetched: a file, or what is behind an http or https URL.
type Source struct {
	name    string   // for people: without what is secret in a URL
	address string   // for ffmpeg
	remote  bool     // address is a URL
	once    bool     // a file is not looped
	secrets []string // parts of the address that no log may repeat
}

// Parse reads the path of a file or a URL. The errors repeat no password.
func Parse(text string) (Source, error) {
	scheme, _, isURL := strings.Cut(text, "://")
	switch scheme = strings.ToLower(scheme); {
	case !isURL:
		return file(text)
	case scheme != "http" && scheme != "https":
		return Source{}, errors.New("only files and http or https addresses can be pulled: publish what comes by another protocol")
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" {
		return Source{}, fmt.Errorf("what follows %s:// is no address: it should be like %s://host/live/demo/index.m3u8", scheme, scheme)
	}
	u.Fragment, u.RawFragment = "", ""
	s := Source{address: u.String(), remote: true}
	if u.User != nil {
		s.secrets = append(s.secrets, u.User.String()+"@")
	}
	if u.RawQuery != "" { // tokens live there
		s.secrets = append(s.secrets, "?"+u.RawQuery)
	}
	u.User, u.RawQuery, u.ForceQuery = nil, "", false
	s.name = u.String()
	return s, nil
}

func file(name string) (Source, error) {
	path, err := filepath.Abs(name)
	if err != nil {
		return Source{}, fmt.Errorf("the source %q cannot be found: %w", name, err)
	}
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() { // a pipe would be waited for
		return Source{}, fmt.Errorf("the source %s is no file", path)
	}
	opened, err := os.Open(path)
	if err != nil {
		return Source{}, fmt.Errorf("the source cannot be read: %w", err)
	}
	opened.Close()
	return Source{name: path, address: path}, nil
}

// ParseOnce reads the path of a file that is to be played to its end once.
func ParseOnce(text string) (Source, error) {
	s, err := Parse(text)
	if err == nil && s.remote {
		return Source{}, errors.New("only a file can be played once: pull an address without that")
	}
	s.once = true
	return s, err
}

// String names the source for people.
func (s Source) String() string { return s.name }

// Protocol is how the source comes here, for people.
func (s Source) Protocol() string {
	if s.remote {
		return "HTTP"
	}
	return "file"
}

// redact takes what is secret out of what a program said: ffmpeg repeats addresses.
func (s Source) redact(err error) error {
	var exit *child.ExitError
	if !errors.As(err, &exit) {
		return err
	}
	clean := *exit
	for _, secret := range s.secrets {
		clean.Tail = strings.ReplaceAll(clean.Tail, secret, "…")
		// Only the end is kept of what it said, which may begin in the midst of an address.
		for i := range secret {
			if rest, cut := strings.CutPrefix(clean.Tail, secret[i:]); cut {
				clean.Tail = "…" + rest
				break
			}
		}
	}
	return &clean
}

// The formats that are read. ffmpeg knows many more, some of which can be made to read other files and addresses.
var (
	containers = []string{"mov", "matroska", "mpegts", "mpeg", "flv", "avi", "asf", "mxf", "ogg"}
	playlists  = []string{"hls", "dash", "aac", "mp3", "ac3", "eac3"} // and what they may lead to beside containers
)

// input is the part of a command line that opens the source. What is behind an address may be hostile: it can make ffmpeg ask
// other web servers (a playlist says where its segments are), and nothing else.
func (s Source) input() []string {
	if !s.remote { // "file:", because a colon in a name would make it a protocol
		return []string{"-protocol_whitelist", "file", "-format_whitelist", strings.Join(containers, ","), "-i", "file:" + s.address}
	}
	args := []string{
		"-protocol_whitelist", "http,https,tcp,tls,crypto", "-format_whitelist", strings.Join(slices.Concat(containers, playlists), ","),
		"-rw_timeout", "10000000",
	}
	if strings.HasPrefix(s.address, "https:") { // over http, ffmpeg refuses the option
		args = append(args, "-tls_verify", "1")
	}
	return append(args, "-i", s.address)
}
