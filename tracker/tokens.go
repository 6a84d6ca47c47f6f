package tracker

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/goccy/go-yaml"

	"slipstream/tracker/announce"
	"slipstream/tracker/token"
)

// keyEntry is one key of a file of keys.
type keyEntry struct {
	Kid      string        `yaml:"kid"`
	Key      string        `yaml:"key"` // a file, from where the file of keys lies
	Channels []string      `yaml:"channels"`
	Origins  []string      `yaml:"origins"`
	Viewers  int           `yaml:"viewers"`
	Unbound  bool          `yaml:"unbound"`
	Sharing  token.Sharing `yaml:"sharing"`
}

const maxKeyFile = 1 << 20

// ReadKeys reads the keys of those who mint tokens themselves: a YAML list, see README. An empty name is none.
func ReadKeys(path string) (terms []token.Terms, err error) {
	if path == "" {
		return nil, nil
	}
	b, err := readSmall(path)
	if err != nil {
		return nil, err
	}
	var entries []keyEntry
	if err := yaml.UnmarshalWithOptions(b, &entries, yaml.Strict()); err != nil && !errors.Is(err, io.EOF) {
		problem, _, _ := strings.Cut(err.Error(), "\n") // below it is an excerpt of the file
		return nil, fmt.Errorf("the file of token keys %s is not understood: %s", path, problem)
	}
	for i, e := range entries {
		if e.Kid == "" {
			return nil, fmt.Errorf("key %d of %s has no kid, the name that its tokens give it", i+1, path)
		}
		file := e.Key
		if !filepath.IsAbs(file) {
			file = filepath.Join(filepath.Dir(path), file)
		}
		key, err := readKey(file)
		if err != nil {
			return nil, fmt.Errorf("the token key %q: %w", e.Kid, err)
		}
		terms = append(terms, token.Terms{
			Name: e.Kid, Key: key, Channels: e.Channels, Origins: e.Origins, Viewers: e.Viewers, Unbound: e.Unbound, Sharing: e.Sharing,
		})
	}
	return terms, nil
}

func readSmall(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%s cannot be read: %w", path, errors.Unwrap(err))
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxKeyFile))
	if err != nil {
		return nil, fmt.Errorf("%s cannot be read: %w", path, err)
	}
	return b, nil
}

func readKey(path string) (token.Key, error) {
	b, err := readSmall(path)
	if err != nil {
		return token.Key{}, err
	}
	key, err := token.ParseKey(b)
	if err != nil {
		return token.Key{}, fmt.Errorf("%s is not usable: %w", path, err)
	}
	return key, nil
}

// Minting says what a token shall say.
type Minting struct {
	KeyFile, Kid string
	Channel      string
	Origin       string // web origin, "" for a program
	Seeder       bool
	Fingerprint  string // as in session descriptions, "" for none
	Life         time.Duration
	Sharing      string
}

// Mint makes a token.
func Mint(m Minting) (string, error) {
	key, err := readKey(m.KeyFile)
	if err != nil {
		return "", err
	}
	now := time.Now()
	c := token.Claims{
		Channel: m.Channel, Origin: m.Origin, Role: announce.Viewer, ID: rand.Text(), Issued: now, Expires: now.Add(m.Life), Sharing: token.Sharing(m.Sharing),
	}
	if m.Seeder {
		c.Role = announce.Seeder
	}
	if m.Fingerprint != "" {
		if c.Fingerprint, err = token.ParseFingerprint(m.Fingerprint); err != nil {
			return "", err
		}
	}
	return key.Mint(m.Kid, c)
}

// Checking says what to hold a token to.
type Checking struct {
	Token, Origin       string
	SecretFile, KeyList string // either may be ""
}

// CheckToken writes what a token says, or returns why a tracker with these keys would refuse it.
func CheckToken(c Checking, out io.Writer) error {
	terms, err := ReadKeys(c.KeyList)
	if err != nil {
		return err
	}
	if c.SecretFile != "" {
		secret, err := ReadSecret(c.SecretFile)
		if err != nil {
			return err
		}
		terms = append(terms, token.Terms{Key: token.Secret(secret), Unbound: true})
	}
	ring, err := token.NewRing(terms...)
	if err != nil {
		return err
	}
	now := time.Now()
	claims, by, refusal := ring.Check(c.Token, c.Origin, now)
	if refusal != nil {
		return fmt.Errorf("%s: %s", refusal.Code, refusal.Message)
	}
	or := func(s, none string) string {
		if s == "" {
			return none
		}
		return s
	}
	_, err = fmt.Fprintf(out, "key          %s\nchannel      %s\nweb origin   %s\nrole         %s\ncertificate  %s\nsharing      %s\ndead in      %s\n",
		or(by.Name, "the origin's"), claims.Channel, or(claims.Origin, "none: a program"), claims.Role, or(claims.Fingerprint.String(), "any: unbound"),
		or(string(claims.Sharing), "direct"), claims.Dead().Sub(now).Round(time.Second))
	return err
}

// NewKeyFiles makes a key pair: name.key mints and stays with whoever mints, name.pub is for the tracker. It says how to
// name the latter in the file of keys.
func NewKeyFiles(dir, name string, out io.Writer) error {
	if !keyName(name) {
		return fmt.Errorf("%.80q cannot name a key: take 1 to %d letters, digits, - and _", name, token.MaxID)
	}
	private, public, err := token.NewPair(rand.Reader)
	if err != nil {
		return err
	}
	base := filepath.Join(dir, name)
	for _, f := range []struct {
		path    string
		content []byte
		mode    os.FileMode
	}{{base + ".key", private, 0o600}, {base + ".pub", public, 0o644}} {
		if err := writeNew(f.path, f.content, f.mode); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(out, "%s.key mints tokens: give it to nobody but whoever mints them\n%s.pub is for the tracker's file of keys (--token-keys):\n\n- kid: %s\n  key: %s.pub\n", base, base, name, name)
	return err
}

// keyName tells whether a key may have this name, and its files.
var keyName = regexp.MustCompile(fmt.Sprintf(`^[A-Za-z0-9_-]{1,%d}$`, token.MaxID)).MatchString

func writeNew(path string, content []byte, mode os.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if errors.Is(err, os.ErrExist) {
		return fmt.Errorf("%s is there already; take another name, or move it away", path)
	}
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	return errors.Join(err, f.Close())
}
