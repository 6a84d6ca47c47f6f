package cdn

import (
	"encoding/json"
	"errors"
	"fmt"
)

// What a steering manifest may say.
const (
	MaxManifestBytes = 64 << 10
	MinTTLMs         = 5_000
	MaxTTLMs         = 3_600_000
	// DefaultTTLMs is after how long it is asked for again when it could not be had (RFC 8216bis, section 7.4).
	DefaultTTLMs = 300_000
)

// Manifest is a steering manifest (RFC 8216bis, section 7.1), as far as we follow it: pathways that it makes up (PATHWAY-CLONES) are passed over.
type Manifest struct {
	TTLMs    int64    // when to ask again, within bounds
	Reload   string   // where, relative to where it was; "": there
	Priority []string // names of CDNs, the preferred one first
}

// ReadManifest reads a steering manifest.
func ReadManifest(text string) (Manifest, error) {
	if len(text) > MaxManifestBytes {
		return Manifest{}, fmt.Errorf("the steering manifest has %d bytes; %d are allowed", len(text), MaxManifestBytes)
	}
	var said struct {
		Version  int      `json:"VERSION"`
		TTL      float64  `json:"TTL"`
		Reload   string   `json:"RELOAD-URI"`
		Priority []string `json:"PATHWAY-PRIORITY"`
	}
	if err := json.Unmarshal([]byte(text), &said); err != nil {
		return Manifest{}, fmt.Errorf("the steering manifest is not understood: %w", err)
	}
	if said.Version != 1 {
		return Manifest{}, fmt.Errorf("the steering manifest is of version %d; we know 1", said.Version)
	}
	if len(said.Priority) == 0 {
		return Manifest{}, errors.New("the steering manifest names no CDN")
	}
	ttlMs := max(MinTTLMs, int64(max(0, min(said.TTL, MaxTTLMs/1000))*1000))
	return Manifest{TTLMs: ttlMs, Reload: said.Reload, Priority: said.Priority}, nil
}
