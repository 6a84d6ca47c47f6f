package keys

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"slipstream/origin/manifest"
)

const (
	nowMs = int64(1_767_225_600_000)
	hour  = int64(3_600_000)
)

func open(t *testing.T, dir string, nowMs int64) *Channel {
	t.Helper()
	c, err := Open(dir, "demo", nowMs)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestFirstStartMakesKeysThatStay(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	first := open(t, dir, nowMs)
	again := open(t, dir, nowMs+hour)
	if first.ID() != again.ID() || first.StreamKey() != again.StreamKey() {
		t.Error("the channel has another id or stream key after a restart")
	}
	_, before, _ := first.Signer(nowMs)
	_, after, _ := again.Signer(nowMs + hour)
	if before != after {
		t.Error("a restart changed the signing key")
	}
	token, err := Token(dir)
	if err != nil || len(token) < 32 {
		t.Fatalf("token secret of %d bytes, %v", len(token), err)
	}
	if same, _ := Token(dir); !bytes.Equal(token, same) {
		t.Error("the token secret changed")
	}
	other, err := Open(dir, "other", nowMs)
	if err != nil || other.ID() == first.ID() || other.StreamKey() == first.StreamKey() {
		t.Errorf("two channels share something: %v", err)
	}
}

func TestNobodyElseCanReadTheDataDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	open(t, dir, nowMs)
	if _, err := Token(dir); err != nil {
		t.Fatal(err)
	}
	files := 0
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		want := fs.FileMode(0o700)
		if !entry.IsDir() {
			want = 0o600
			files++
		}
		if info.Mode().Perm() != want {
			t.Errorf("%s has mode %v, want %v", path, info.Mode().Perm(), want)
		}
		return err
	})
	if err != nil || files != 4 {
		t.Errorf("%d files, %v; want root.key, signing.key, stream.key and token.key", files, err)
	}
}

// The delegation is renewed long before it ends, and the channel stays what it is.
func TestSigningKeyIsRenewedAtHalfLife(t *testing.T) {
	dir := t.TempDir()
	c := open(t, dir, nowMs)
	_, first, _ := c.Signer(nowMs)
	if err := first.Verify(c.ID()); err != nil {
		t.Fatal(err)
	}
	if life := first.NotAfterMs - first.NotBeforeMs; life > 24*hour || life < 23*hour {
		t.Errorf("it is valid for %d ms", life)
	}
	if _, d, _ := c.Signer(nowMs + 12*hour); d != first {
		t.Error("it was replaced too early")
	}
	key, second, err := c.Signer(nowMs + 12*hour + 1)
	if err != nil || second.Key() == first.Key() || second.NotAfterMs <= first.NotAfterMs {
		t.Fatalf("it was not replaced: %v", err)
	}
	if err := second.Verify(c.ID()); err != nil {
		t.Error(err)
	}
	rec, err := manifest.SignRecord(manifest.Record{Kind: manifest.KindInit, Rendition: "a", Size: 1, Root: manifest.Hash{1}}, c.ID(), key)
	if err != nil || !rec.SignedBy(c.ID(), second.SigningKey) {
		t.Errorf("the key is not the one that the delegation names: %v", err)
	}
	if _, restarted, _ := open(t, dir, nowMs+13*hour).Signer(nowMs + 13*hour); restarted != second {
		t.Error("the renewed key was not on disk")
	}
	n := (nowMs + 12*hour) / 2000
	if second.FirstSequence > n-150 || second.LastSequence < second.NotAfterMs/2000+150 {
		t.Errorf("the range %d to %d leaves no margin", second.FirstSequence, second.LastSequence)
	}
	if _, back, _ := c.Signer(nowMs - hour); back.NotBeforeMs != nowMs-hour {
		t.Error("after the clock was set back the key is not valid yet, and was kept")
	}
}

func TestDamagedFilesAreNamed(t *testing.T) {
	for file, says := range map[string]string{
		"channels/demo/root.key":    "restore it from a backup",
		"channels/demo/signing.key": "delete it and a new one is made",
		"channels/demo/stream.key":  "8 to 128 letters",
	} {
		dir := t.TempDir()
		open(t, dir, nowMs)
		path := filepath.Join(dir, file)
		if err := os.WriteFile(path, []byte("no"), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Open(dir, "demo", nowMs)
		if err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", file, err)
		}
	}
	dir := t.TempDir()
	if _, err := Token(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "keys/token.key"), []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Token(dir); err == nil || !strings.Contains(err.Error(), "token.key is damaged") {
		t.Errorf("token secret: %v", err)
	}
}

// Somebody restores an old root key: the signing key of the other channel must not be used with it.
func TestForeignSigningKeyIsReplaced(t *testing.T) {
	dir := t.TempDir()
	open(t, dir, nowMs)
	if err := os.Remove(filepath.Join(dir, "channels/demo/root.key")); err != nil {
		t.Fatal(err)
	}
	c := open(t, dir, nowMs)
	if _, d, err := c.Signer(nowMs); err != nil || d.Verify(c.ID()) != nil {
		t.Errorf("the signing key belongs to another channel: %v", err)
	}
}

func TestUserMayChooseTheStreamKey(t *testing.T) {
	dir := t.TempDir()
	open(t, dir, nowMs)
	if err := os.WriteFile(filepath.Join(dir, "channels/demo/stream.key"), []byte("my-own-key\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := open(t, dir, nowMs).StreamKey(); got != "my-own-key" {
		t.Errorf("stream key %q", got)
	}
}

func TestChannelNames(t *testing.T) {
	for name, ok := range map[string]bool{"demo": true, "a": true, "0-_x": true, "": false, "..": false, "a/b": false, "Demo": false, "-a": false, strings.Repeat("a", 65): false} {
		if err := CheckName(name); (err == nil) != ok {
			t.Errorf("%q: %v", name, err)
		}
	}
}
