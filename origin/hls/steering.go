package hls

import (
	"fmt"
	"hash/fnv"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// A channel can be had from several CDNs: each is a pathway of Content Steering (RFC 8216bis, section 7). A multivariant playlist lists
// everything once for each, with absolute addresses, and names the steering manifest, which players read again and again to learn in which
// order they are to prefer them.

const (
	// SteeringName is what the steering manifest is called, beside the multivariant playlists.
	SteeringName = "steering.json"
	// SteeringTTL is after how many seconds players ask for it again.
	SteeringTTL = 60
	// MaxCDNs bounds the pathways of a channel.
	MaxCDNs = 8
)

// CDN is a pathway.
type CDN struct {
	Name string // PATHWAY-ID
	Base string // what stands before /live/<channel>/… there, without a slash at its end
	// Weight is the CDN's share among the weights of all. Without one it is for when those with one have failed.
	Weight int64
}

// ParseCDN reads NAME[:WEIGHT]=URL.
func ParseCDN(text string) (CDN, error) {
	name, base, _ := strings.Cut(text, "=")
	name, weight, weighted := strings.Cut(name, ":")
	cdn := CDN{Name: name, Base: strings.TrimSuffix(base, "/")}
	u, err := url.Parse(base)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || strings.ContainsAny(base, "\"\r\n") {
		return CDN{}, fmt.Errorf("%q is no CDN; one is NAME=URL or NAME:WEIGHT=URL, such as near=https://cdn.example or near:70=https://cdn.example/streams", text)
	}
	if strings.Trim(name, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz._-") != "" || name == "" || name == "." {
		return CDN{}, fmt.Errorf("%q is no name for a CDN: letters, digits, dots, hyphens and underscores are", name)
	}
	if weighted {
		if cdn.Weight, err = strconv.ParseInt(weight, 10, 32); err != nil || cdn.Weight < 0 {
			return CDN{}, fmt.Errorf("the weight of the CDN %s is %q; it should be a whole number", name, weight)
		}
	}
	return cdn, nil
}

// ParseCDNs reads a list of them, of which no two have the same name.
func ParseCDNs(texts []string) ([]CDN, error) {
	var list []CDN
	for _, text := range texts {
		cdn, err := ParseCDN(text)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(list, func(c CDN) bool { return c.Name == cdn.Name }) {
			return nil, fmt.Errorf("two CDNs are called %s", cdn.Name)
		}
		list = append(list, cdn)
	}
	if len(list) > MaxCDNs {
		return nil, fmt.Errorf("there are %d CDNs; at most %d are possible", len(list), MaxCDNs)
	}
	return list, nil
}

// SteeringManifest is what SteeringName holds (RFC 8216bis, section 7.1).
type SteeringManifest struct {
	Version   int      `json:"VERSION"`
	TTL       int      `json:"TTL"`
	ReloadURI string   `json:"RELOAD-URI,omitempty"`
	Priority  []string `json:"PATHWAY-PRIORITY"`
}

// Steering is the steering manifest for a viewer, who keeps its number by the address that it is told to ask next.
func Steering(cdns []CDN, viewer uint32) SteeringManifest {
	m := SteeringManifest{Version: 1, TTL: SteeringTTL}
	if Personal(cdns) {
		m.ReloadURI = SteeringName + "?viewer=" + strconv.FormatUint(uint64(viewer), 10)
	}
	for _, cdn := range ranked(cdns, viewer) {
		m.Priority = append(m.Priority, cdn.Name)
	}
	return m
}

// Personal tells whether not all viewers have the same steering manifest.
func Personal(cdns []CDN) bool {
	weighted := 0
	for _, cdn := range cdns {
		if cdn.Weight > 0 {
			weighted++
		}
	}
	return weighted > 1
}

// ranked puts CDNs in a viewer's order. Those with a weight are drawn, one after the other, by their weights (each waits for an exponentially distributed
// time, and the shortest comes first): who leaves changes nothing for viewers of the others.
func ranked(cdns []CDN, viewer uint32) []CDN {
	waits := func(cdn CDN) float64 {
		if cdn.Weight == 0 {
			return math.Inf(1)
		}
		h := fnv.New64a()
		fmt.Fprintf(h, "%d %s", viewer, cdn.Name)
		return -math.Log((float64(mixed(h.Sum64())>>11)+0.5)/(1<<53)) / float64(cdn.Weight)
	}
	list := slices.Clone(cdns)
	slices.SortStableFunc(list, func(a, b CDN) int {
		switch x, y := waits(a), waits(b); {
		case x < y:
			return -1
		case x > y:
			return 1
		}
		return 0
	})
	return list
}

// mixed spreads the bits of a hash (the finalizer of MurmurHash3): FNV hardly changes the highest ones with the last letters.
func mixed(x uint64) uint64 {
	x = (x ^ x>>33) * 0xff51afd7ed558ccd
	x = (x ^ x>>33) * 0xc4ceb9fe1a85ec53
	return x ^ x>>33
}

// steered lists what a multivariant playlist lists once for each CDN.
func (c Channel) steered(playlist string) string {
	if len(c.CDNs) == 0 {
		return playlist
	}
	var head, streams lines
	for line := range strings.Lines(playlist) {
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(line, "#EXT-X-STREAM-INF:") || strings.HasPrefix(line, "#EXT-X-MEDIA:") || !strings.HasPrefix(line, "#") {
			streams = append(streams, line)
		} else {
			head = append(head, line)
		}
	}
	// Until players have read the steering manifest, and if they cannot, the first is preferred.
	head = append(head, fmt.Sprintf("#EXT-X-CONTENT-STEERING:SERVER-URI=%q,PATHWAY-ID=%q", SteeringName, c.CDNs[0].Name))
	for _, cdn := range c.CDNs {
		for i, line := range streams {
			head = append(head, c.via(cdn, line, streams[i+1:]))
		}
	}
	return strings.Join(head, "\n") + "\n"
}

// via is a line of a multivariant playlist as it reads for one CDN.
func (c Channel) via(cdn CDN, line string, after lines) string {
	base := cdn.Base + "/live/" + c.Name + "/"
	switch {
	case strings.HasPrefix(line, "#EXT-X-STREAM-INF:"):
		// What is the same on all pathways is called the same (section 4.4.6.2).
		stable, _, _ := strings.Cut(after[0], "/")
		line = inGroup(line, `AUDIO="`, cdn) + fmt.Sprintf(",PATHWAY-ID=%q,STABLE-VARIANT-ID=%q", cdn.Name, stable)
	case strings.HasPrefix(line, "#EXT-X-MEDIA:"):
		before, uri, _ := strings.Cut(line, `URI="`)
		stable, _, _ := strings.Cut(uri, "/")
		line = inGroup(before, `GROUP-ID="`, cdn) + `URI="` + base + uri + fmt.Sprintf(",STABLE-RENDITION-ID=%q", stable)
	default:
		line = base + line
	}
	return line
}

// inGroup gives each CDN groups of its own, so that a player that changes to another changes with everything.
func inGroup(line, attribute string, cdn CDN) string {
	before, after, found := strings.Cut(line, attribute)
	if !found {
		return line
	}
	group, rest, _ := strings.Cut(after, `"`)
	return before + attribute + group + " " + cdn.Name + `"` + rest
}
