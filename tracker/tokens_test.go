package tracker

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"slipstream/tracker/relay"
)

var (
	aChannel     = strings.Repeat("A", 43)
	aCertificate = "sha-256 " + strings.Repeat("AB:", 31) + "CD"
)

// desk is a directory with a customer's key, the tracker's file of keys, and the origin's secret.
func desk(t *testing.T, terms string) string {
	t.Helper()
	dir := t.TempDir()
	var told bytes.Buffer
	if err := (tokenKeyCommand{Name: "news", Dir: dir}).Run(&told); err != nil {
		t.Fatal(err)
	}
	_, entry, _ := strings.Cut(told.String(), "\n\n")
	for name, content := range map[string]string{"keys.yaml": entry + terms, "token.key": string(secret)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestACustomerMintsWithTheKeyThatWasMade(t *testing.T) {
	dir := desk(t, "  origins: [https://*.example.com]\n  viewers: 1000\n  sharing: relay\n")
	m := mintCommand{
		Key: filepath.Join(dir, "news.key"), Kid: "news", ID: aChannel, WebOrigin: "https://tv.example.com", Fingerprint: aCertificate, Life: time.Minute,
	}
	token, err := m.mint()
	if err != nil {
		t.Fatal(err)
	}
	check := checkCommand{Token: token, WebOrigin: "https://tv.example.com", TokenKeys: filepath.Join(dir, "keys.yaml")}
	var said bytes.Buffer
	if err := check.Run(&said); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"key          news\n", "channel      " + aChannel, "role         viewer\n", aCertificate, "sharing      relay\n", "dead in      1m"} {
		if !strings.Contains(said.String(), want) {
			t.Errorf("it says\n%s\nwithout %q", &said, want)
		}
	}
	check.WebOrigin = "https://example.org"
	if err := check.Run(&said); err == nil || !strings.Contains(err.Error(), "token-origin: ") {
		t.Errorf("a page of another origin: %v", err)
	}
	m.Key, m.Kid = filepath.Join(dir, "token.key"), ""
	if check.Token, err = m.mint(); err != nil {
		t.Fatal(err)
	}
	check.WebOrigin, check.TokenKey = "", filepath.Join(dir, "token.key")
	if err := check.Run(&said); err != nil || !strings.Contains(said.String(), "key          the origin's\n") {
		t.Errorf("the origin's own: %v\n%s", err, &said)
	}
	m.Life = time.Hour
	if _, err := m.mint(); err == nil || !strings.Contains(err.Error(), "longer than 120 seconds") {
		t.Errorf("an hour: %v", err)
	}
	m.Life, m.Fingerprint = time.Minute, "mine"
	if _, err := m.mint(); err == nil || !strings.Contains(err.Error(), "a fingerprint is") {
		t.Errorf("no fingerprint: %v", err)
	}
}

func TestKeysAreNotOverwritten(t *testing.T) {
	dir := desk(t, "")
	if err := (tokenKeyCommand{Name: "news", Dir: dir}).Run(&bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), "is there already") {
		t.Errorf("got %v", err)
	}
	if info, err := os.Stat(filepath.Join(dir, "news.key")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the private key: %v, %v", info.Mode(), err)
	}
	for _, name := range []string{"", "../news", "two words", strings.Repeat("x", 65)} {
		if err := (tokenKeyCommand{Name: name, Dir: dir}).Run(&bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), "cannot name a key") {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestFilesOfKeysThatAreNone(t *testing.T) {
	for sentence, content := range map[string]string{
		"is not understood":       "- kid: news\n  colour: red\n",
		"has no kid":              "- key: news.pub\n",
		"nowhere.pub cannot be":   "- kid: news\n  key: nowhere.pub\n",
		"keys.yaml is not usable": "- kid: news\n  key: keys.yaml\n#",
	} {
		path := filepath.Join(t.TempDir(), "keys.yaml")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := readKeys(path); err == nil || !strings.Contains(err.Error(), sentence) || strings.Contains(err.Error(), "\n") {
			t.Errorf("got %v, want one sentence with %q", err, sentence)
		}
	}
	if terms, err := readKeys(""); terms != nil || err != nil {
		t.Errorf("no file: %v, %v", terms, err)
	}
}

func TestTheRelaysAddressIsRead(t *testing.T) {
	if c, err := readRelay("0.0.0.0:3478", "203.0.113.9"); err != nil || c.Listen != "0.0.0.0:3478" || c.Public.String() != "203.0.113.9" {
		t.Errorf("%+v, %v", c, err)
	}
	if _, err := readRelay(":3478", "tracker.example"); err == nil || !strings.Contains(err.Error(), "is not the IP address") {
		t.Errorf("got %v", err)
	}
	if _, err := NewHandler(Config{Secret: secret, ICE: relay.Config{Listen: "0.0.0.0:0"}, Log: quiet()}); err == nil || !strings.Contains(err.Error(), "at which IP address viewers reach it") {
		t.Errorf("got %v", err)
	}
}
