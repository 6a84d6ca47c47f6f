package ingest

import (
	"errors"
	"testing"
)

func TestAChannelHasOnePublisherAndOneBackup(t *testing.T) {
	c := newClaims()
	primary, err := c.take(t.Context(), "demo", "a:1")
	if err != nil {
		t.Fatal(err)
	}
	backup, err := c.take(t.Context(), BackupOf("demo"), "b:1")
	if err != nil {
		t.Fatal(err)
	}
	for place, says := range map[string]string{
		"demo": `the channel "demo" already has a publisher`, BackupOf("demo"): `the channel "demo" already has a backup publisher`,
	} {
		_, err := c.take(t.Context(), place, "c:1")
		var refused *refusal
		if !errors.As(err, &refused) || refused.sentence != says {
			t.Errorf("%s: %v, want %q", place, err, says)
		}
	}
	backup.end()
	backup.release()
	if again, err := c.take(t.Context(), BackupOf("demo"), "c:1"); err != nil {
		t.Error(err)
	} else {
		again.release()
	}
	primary.release()
}
