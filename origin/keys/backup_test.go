package keys

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"slipstream/origin/manifest"
)

func TestTheBackupHasAKeyOfItsOwn(t *testing.T) {
	dir := t.TempDir()
	c, err := Open(dir, "demo", 0)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(ChannelDir(dir, "demo"), "backup.key")
	if _, err := os.Stat(path); err == nil {
		t.Error("there is a key that nobody asked for")
	}
	key, err := c.BackupKey()
	if err != nil || key == c.StreamKey() || len(key) < 20 {
		t.Errorf("%q, %v", key, err)
	}
	if again, err := c.BackupKey(); again != key || err != nil {
		t.Errorf("%q became %q, %v", key, again, err)
	}
	if err := os.WriteFile(path, []byte(c.StreamKey()), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := c.BackupKey(); err == nil || !strings.Contains(err.Error(), "the same as that of the channel's first publisher") {
		t.Errorf("one key for both: %v", err)
	}
}

// On a full disk the signing key cannot be replaced: what it was appointed for goes on for hours, and not for ever.
func TestAKeyThatCannotBeReplacedIsUsedFurther(t *testing.T) {
	dir := t.TempDir()
	c, err := Open(dir, "demo", 0)
	if err != nil {
		t.Fatal(err)
	}
	_, first, err := c.Signer(0)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(c.dir, c.dir+".away"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(c.dir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, d, err := c.Signer(manifest.MaxDelegationMs / 4 * 3); err != nil || d != first {
		t.Errorf("%v, %v", d, err)
	}
	if _, _, err := c.Signer(manifest.MaxDelegationMs - 600_000); err == nil {
		t.Error("a key is used to its last minutes")
	}
	if err := os.Remove(c.dir); err != nil {
		t.Fatal(err)
	}
	if _, d, err := c.Signer(manifest.MaxDelegationMs - 600_000); err != nil || d == first {
		t.Errorf("when there is room again: %v, %v", d, err)
	}
}
