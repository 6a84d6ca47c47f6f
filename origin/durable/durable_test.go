package durable

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestWriteReplacesAndKeepsSecret(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a", "b", "file")
	if _, found, err := Read(path); found || err != nil {
		t.Fatalf("before: found %t, %v", found, err)
	}
	for _, want := range []string{"first", "second, longer", "3"} {
		if err := Write(path, []byte(want)); err != nil {
			t.Fatal(err)
		}
		if got, found, err := Read(path); string(got) != want || !found || err != nil {
			t.Fatalf("read %q, %t, %v; want %q", got, found, err, want)
		}
	}
	for p, want := range map[string]os.FileMode{path: 0o600, filepath.Dir(path): 0o700} {
		if info, err := os.Stat(p); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s has mode %v, want %v", p, info.Mode().Perm(), want)
		}
	}
	if entries, _ := os.ReadDir(filepath.Dir(path)); len(entries) != 1 {
		t.Errorf("temporary files were left behind: %v", entries)
	}
}

func TestReadRefusesWhatOthersCanRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Read(path); err == nil || !strings.Contains(err.Error(), "chmod 600 "+path) {
		t.Errorf("the sentence does not say what to do: %v", err)
	}
}

func TestFailuresAreSentences(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	under := filepath.Join(file, "below") // a file where a directory should be
	if err := Write(under, nil); err == nil || err.Error() != "the directory "+file+" cannot be made: not a directory" {
		t.Errorf("Write: %v", err)
	}
	if _, _, err := Read(under); err == nil || !strings.HasPrefix(err.Error(), "the file "+under+" cannot be read: ") {
		t.Errorf("Read: %v", err)
	}
	if _, err := Lock(under); err == nil {
		t.Error("Lock succeeded below a file")
	}
}

func TestLockIsExclusiveUntilReleased(t *testing.T) {
	dir := t.TempDir()
	release, err := Lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Lock(dir); err == nil || !strings.Contains(err.Error(), "in use by another slipstream process") {
		t.Errorf("a second lock: %v", err)
	}
	release()
	again, err := Lock(dir)
	if err != nil {
		t.Fatalf("after the release: %v", err)
	}
	again()
}

func TestRewriteKeepsRoomForItself(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "heads")
	path := filepath.Join(dir, "file")
	for _, want := range []string{"first", "second, longer", strings.Repeat("third ", 1000), "4", ""} {
		if err := Rewrite(path, []byte(want)); err != nil {
			t.Fatal(err)
		}
		if got, found, err := Read(path); strings.TrimRight(string(got), "\n") != want || !found || err != nil {
			t.Fatalf("read %q, %t, %v; want %q", got, found, err, want)
		}
		entries, err := os.ReadDir(dir)
		if err != nil || len(entries) != 2 {
			t.Fatalf("%v, %v; want the file and its spare", entries, err)
		}
		for _, entry := range entries {
			if info, err := entry.Info(); err != nil || info.Mode().Perm() != 0o600 || info.Size() == 0 || info.Size()%4096 != 0 {
				t.Errorf("%s has mode %v and %d bytes, %v", entry.Name(), info.Mode(), info.Size(), err)
			}
		}
	}
	if err := Rewrite(filepath.Join(path, "below"), nil); err == nil || err.Error() != "the directory "+path+" cannot be made: not a directory" {
		t.Errorf("below a file: %v", err)
	}
}
