// Package keys keeps the secrets of an origin in its data directory.
//
//	<data>/keys/token.key                  shared by origin and tracker: signs join tokens (at least 32 random bytes)
//	<data>/keys/publish.key                checks publishing tokens (package permit, which makes it)
//	<data>/channels/<channel>/root.key     owns the channel: its public half's hash is the channel id (PKCS #8, PEM)
//	<data>/channels/<channel>/signing.key  signs records; with the delegation by which the root key appointed it
//	<data>/channels/<channel>/stream.key   lets an encoder publish; one line of text, may be edited
//	<data>/channels/<channel>/backup.key   likewise the backup's, for a channel that takes one
//
// Everything is made at first start. Losing root.key loses the channel's name for ever: back it up. signing.key replaces
// itself every twelve hours, half of a delegation's life, so that whatever a playlist lists is valid for long
// after it has left the window, and an origin may be down for hours without its key running out under it.
package keys

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"sync"

	"slipstream/origin/durable"
	"slipstream/origin/manifest"
	"slipstream/origin/timeline"
)

const (
	tokenBytes = 32
	pemKey     = "PRIVATE KEY" // PKCS #8, RFC 5958; what openssl calls it, too
	pemDeleg   = "SLIPSTREAM DELEGATION"

	// renewMs is the remaining life below which a delegation is replaced.
	renewMs = manifest.MaxDelegationMs / 2
	// lastMs is what must be left of it while it cannot be replaced: what is signed is in playlists for an hour at most.
	lastMs = renewMs / 6
	// marginSegments (an hour) lets segments be numbered a little off the clock: the encoder's clock drifts.
	marginSegments = 3_600_000 / timeline.SegmentMs
)

var channelName = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,63}$`)

// CheckName tells whether a channel may be called name: it becomes a folder and a part of URLs.
func CheckName(name string) error {
	if !channelName.MatchString(name) {
		return fmt.Errorf("the channel name %q is not usable: take 1 to 64 of a-z, 0-9, - and _, beginning with a letter or digit", name)
	}
	return nil
}

// ChannelDir is the folder that holds a channel's keys and state.
func ChannelDir(dataDir, channel string) string { return filepath.Join(dataDir, "channels", channel) }

// Token returns the secret that signs join tokens, and makes it if there is none.
func Token(dataDir string) ([]byte, error) {
	path := filepath.Join(dataDir, "keys", "token.key")
	secret, found, err := durable.Read(path)
	if err != nil {
		return nil, err
	}
	if !found {
		secret = random(tokenBytes)
		return secret, durable.Write(path, secret)
	}
	if len(secret) < tokenBytes {
		return nil, fmt.Errorf("the token secret %s is damaged: it has %d bytes, %d are needed; delete it and a new one is made", path, len(secret), tokenBytes)
	}
	return secret, nil
}

// Channel holds the keys of one channel. It is safe for concurrent use.
type Channel struct {
	dir       string
	region    string
	root      ed25519.PrivateKey
	streamKey string

	mu         sync.Mutex
	signing    ed25519.PrivateKey
	delegation manifest.Delegation
}

// Open reads a channel's keys and makes those that are missing. nowMs is the time in ms since the Unix epoch.
func Open(dataDir, name string, nowMs int64) (*Channel, error) {
	return OpenRegion(dataDir, name, "", nowMs)
}

// OpenRegion is Open for one of several origins that publish a channel side by side: with the same root.key, and each with a name
// that its signing key is appointed for.
func OpenRegion(dataDir, name, region string, nowMs int64) (*Channel, error) {
	if err := CheckName(name); err != nil {
		return nil, err
	}
	c := &Channel{dir: ChannelDir(dataDir, name), region: region}
	for _, load := range []func() error{c.loadRoot, c.loadStreamKey, c.loadSigning} {
		if err := load(); err != nil {
			return nil, err
		}
	}
	_, _, err := c.Signer(nowMs)
	return c, err
}

// ID returns the channel id.
func (c *Channel) ID() manifest.Hash { return manifest.ChannelID(c.root.Public().(ed25519.PublicKey)) }

// StreamKey returns what an encoder must know to publish.
func (c *Channel) StreamKey() string { return c.streamKey }

// Signer returns the key to sign with at nowMs and its delegation. Past half of the delegation's life both are replaced;
// the new ones are on disk before they are returned.
func (c *Channel) Signer(nowMs int64) (ed25519.PrivateKey, manifest.Delegation, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	left := c.delegation.NotAfterMs - nowMs
	if c.signing != nil && left >= renewMs && nowMs >= c.delegation.NotBeforeMs-manifest.MaxSkewMs {
		return c.signing, c.delegation, nil
	}
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, manifest.Delegation{}, err
	}
	d := manifest.Delegation{
		Region:        c.region,
		FirstSequence: max(0, nowMs/timeline.SegmentMs-marginSegments),
		LastSequence:  (nowMs+manifest.MaxDelegationMs)/timeline.SegmentMs + marginSegments,
		NotBeforeMs:   nowMs,
		NotAfterMs:    nowMs + manifest.MaxDelegationMs,
	}
	copy(d.SigningKey[:], public)
	if d, err = manifest.SignDelegation(d, c.root); err != nil {
		return nil, manifest.Delegation{}, err
	}
	file := append(encodeKey(private), pem.EncodeToMemory(&pem.Block{Type: pemDeleg, Bytes: d.Encode()})...)
	if err := durable.Write(c.signingPath(), file); err != nil {
		if c.signing != nil && left >= lastMs && nowMs >= c.delegation.NotBeforeMs-manifest.MaxSkewMs {
			return c.signing, c.delegation, nil // the disk is full, perhaps: there is time to mend that
		}
		return nil, manifest.Delegation{}, err
	}
	c.signing, c.delegation = private, d
	return private, d, nil
}

func (c *Channel) signingPath() string { return filepath.Join(c.dir, "signing.key") }

func (c *Channel) loadRoot() error {
	path := filepath.Join(c.dir, "root.key")
	file, found, err := durable.Read(path)
	if err != nil {
		return err
	}
	if !found {
		if _, c.root, err = ed25519.GenerateKey(rand.Reader); err != nil {
			return err
		}
		return durable.Write(path, encodeKey(c.root))
	}
	if c.root, _, err = decodeKey(file); err != nil {
		return fmt.Errorf("the root key %s is damaged (%w): restore it from a backup; if you delete it the channel gets a new id", path, err)
	}
	return nil
}

// loadSigning takes up the signing key of the last run. One that is not the root key's choice any more (a root key was
// restored), or was for another region, is forgotten, and replaced by Signer.
func (c *Channel) loadSigning() error {
	path := c.signingPath()
	file, found, err := durable.Read(path)
	if err != nil || !found {
		return err
	}
	key, rest, err := decodeKey(file)
	var d manifest.Delegation
	if err == nil {
		block, _ := pem.Decode(rest)
		if block == nil || block.Type != pemDeleg {
			err = fmt.Errorf("it has no %s", pemDeleg)
		} else {
			d, err = manifest.ParseDelegation(block.Bytes)
		}
	}
	if err != nil {
		return fmt.Errorf("the signing key %s is damaged (%w): delete it and a new one is made", path, err)
	}
	if d.Verify(c.ID()) == nil && d.Region == c.region && bytes.Equal(d.SigningKey[:], key.Public().(ed25519.PublicKey)) {
		c.signing, c.delegation = key, d
	}
	return nil
}

func (c *Channel) loadStreamKey() (err error) {
	c.streamKey, err = readStreamKey(filepath.Join(c.dir, "stream.key"))
	return err
}

// BackupKey returns what a backup encoder must know to publish, and makes it if there is none.
func (c *Channel) BackupKey() (string, error) {
	key, err := readStreamKey(filepath.Join(c.dir, "backup.key"))
	if err == nil && key == c.streamKey {
		err = fmt.Errorf("the stream key in %s is the same as that of the channel's first publisher: delete the file and a new one is made", filepath.Join(c.dir, "backup.key"))
	}
	return key, err
}

var streamKey = regexp.MustCompile(`^[A-Za-z0-9_.~-]{8,128}$`)

func readStreamKey(path string) (string, error) {
	file, found, err := durable.Read(path)
	if err != nil {
		return "", err
	}
	if !found {
		key := base64.RawURLEncoding.EncodeToString(random(18))
		return key, durable.Write(path, []byte(key+"\n"))
	}
	key := strings.TrimSpace(string(file))
	if !streamKey.MatchString(key) {
		return "", fmt.Errorf("the stream key in %s is not usable: write 8 to 128 letters, digits and any of _ . ~ - in one line, or delete the file and a new one is made", path)
	}
	return key, nil
}

func encodeKey(key ed25519.PrivateKey) []byte {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		panic(err) // only for types of key that PKCS #8 does not know
	}
	return pem.EncodeToMemory(&pem.Block{Type: pemKey, Bytes: der})
}

func decodeKey(file []byte) (ed25519.PrivateKey, []byte, error) {
	block, rest := pem.Decode(file)
	if block == nil || block.Type != pemKey {
		return nil, nil, fmt.Errorf("it has no %s", pemKey)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, nil, err
	}
	private, ok := key.(ed25519.PrivateKey)
	if !ok {
		return nil, nil, fmt.Errorf("it is a %T, not an Ed25519 key", key)
	}
	return private, rest, nil
}

func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b) // never fails (crypto/rand)
	return b
}
