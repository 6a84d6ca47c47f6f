package tracker

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/goccy/go-yaml"

	"slipstream/tracker/server"
	"slipstream/tracker/token"
)

// ReadSecret reads the token secret, which the origin makes at its first start and a tracker elsewhere is given a copy of.
func ReadSecret(file string) ([]byte, error) {
	info, err := os.Stat(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("there is no token secret at %s: copy the origin's keys/token.key to it", file)
	case err != nil:
		return nil, fmt.Errorf("the token secret cannot be read: %w", err)
	case !info.Mode().IsRegular() || info.Size() > 4096:
		return nil, fmt.Errorf("%s is not a token secret", file)
	case info.Mode().Perm()&0o077 != 0:
		return nil, fmt.Errorf("%s can be read by others on this machine: run chmod 600 %s", file, file)
	case info.Size() < server.MinSecret:
		return nil, fmt.Errorf("the token secret in %s has %d bytes, it needs at least %d", file, info.Size(), server.MinSecret)
	}
	secret, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("the token secret cannot be read: %w", err)
	}
	return secret, nil
}

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

// readKeys reads the keys of those who mint tokens themselves: a YAML list, see README. An empty name is none.
func readKeys(path string) (terms []token.Terms, err error) {
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
