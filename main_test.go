package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The rules of the house (README, "How it is built"), held by a test: cores are
// pure, and imports point from main over shells to cores, never back.

// cores may compute and nothing else.
var cores = []string{
	"origin/manifest", "origin/timeline", "origin/cmaf", "origin/hls", "origin/dash", "origin/health", "origin/load", "origin/switcher", "origin/ts",
	"tracker/announce", "tracker/token", "tracker/swarm", "tracker/tight", "tracker/webtorrent",
	"peer/wire", "peer/sched", "peer/sched/prefetch", "peer/store", "peer/playback", "peer/cdn",
	"sim/clock", "sim/draw", "sim/network", "sim/oracle", "sim/world", "sim/emulate/link",
}

// leaves import nothing else of ours, but for what lies below them.
var leaves = []string{"origin/manifest", "tracker/announce", "peer/wire", "peer/sched"}

// across lists, for each component, what it may import of other components.
var across = map[string][]string{
	"origin":  {"tracker/announce", "tracker/token"}, // it mints the tokens that viewers join with
	"tracker": {},
	"peer":    {"origin/manifest", "tracker/announce"},
	"seeder":  {"peer", "origin/manifest", "tracker/announce", "tracker/token"},
	"player":  {},
	"sim":     cores,
}

// impure lists what a core must not import: the world.
var impure = []string{
	"os", "os/exec", "os/signal", "io/ioutil", "net", "net/http", "log", "log/slog", "syscall",
	"math/rand", "math/rand/v2", "crypto/rand", "sync", "sync/atomic", "runtime",
}

type goPackage struct {
	ImportPath string
	Dir        string
	Imports    []string
	GoFiles    []string
}

func ourPackages(t *testing.T) []goPackage {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Dir,Imports,GoFiles", "./...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var packages []goPackage
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var p goPackage
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatal(err)
		}
		p.ImportPath = strings.TrimPrefix(p.ImportPath, "slipstream/")
		packages = append(packages, p)
	}
}

func TestEveryCoreExists(t *testing.T) {
	packages := ourPackages(t)
	for _, core := range cores {
		if !slices.ContainsFunc(packages, func(p goPackage) bool { return p.ImportPath == core }) {
			t.Errorf("%s is named as a core and is not there", core)
		}
	}
}

func TestImportsPointTheRightWay(t *testing.T) {
	for _, p := range ourPackages(t) {
		if p.ImportPath == "slipstream" {
			continue // main sees all
		}
		component := strings.Split(p.ImportPath, "/")[0]
		allowed, known := across[component]
		if !known {
			t.Errorf("%s is no component of the house", p.ImportPath)
		}
		for _, path := range p.Imports {
			ours, isOurs := strings.CutPrefix(path, "slipstream/")
			if !isOurs {
				if slices.Contains(cores, p.ImportPath) && slices.Contains(impure, path) {
					t.Errorf("%s is a core and imports %s", p.ImportPath, path)
				}
				if strings.HasPrefix(path, "github.com/pion/") && p.ImportPath != "peer/rtc" && p.ImportPath != "tracker/relay" && !strings.HasPrefix(p.ImportPath, "origin/ingest/rtc") {
					t.Errorf("%s imports %s: only peer/rtc, tracker/relay and origin/ingest/rtc know pion", p.ImportPath, path)
				}
				continue
			}
			switch {
			case slices.Contains(leaves, p.ImportPath) && !strings.HasPrefix(ours, p.ImportPath+"/"):
				t.Errorf("%s is a leaf and imports %s", p.ImportPath, ours)
			case slices.Contains(cores, p.ImportPath) && !slices.Contains(cores, ours):
				t.Errorf("%s is a core and imports the shell %s", p.ImportPath, ours)
			case strings.Split(ours, "/")[0] != component && !permits(allowed, ours):
				t.Errorf("%s imports %s, which its component may not", p.ImportPath, ours)
			}
		}
	}
}

func permits(allowed []string, path string) bool {
	return slices.ContainsFunc(allowed, func(a string) bool { return path == a || strings.HasPrefix(path, a+"/") })
}

func TestNoAttackerShips(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	if slices.Contains(strings.Fields(string(out)), "slipstream/peer/attack") {
		t.Error("the binary contains the attackers, which are for tests and measurements only")
	}
}

func TestCoresStartNoGoroutineAndReadNoClock(t *testing.T) {
	for _, p := range ourPackages(t) {
		if !slices.Contains(cores, p.ImportPath) {
			continue
		}
		for _, name := range p.GoFiles {
			files := token.NewFileSet()
			file, err := parser.ParseFile(files, filepath.Join(p.Dir, name), nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(file, func(node ast.Node) bool {
				switch node := node.(type) {
				case *ast.GoStmt:
					t.Errorf("%s starts a goroutine at %s", p.ImportPath, files.Position(node.Pos()))
				case *ast.SelectorExpr:
					pkg, ok := node.X.(*ast.Ident)
					if ok && pkg.Name == "time" && slices.Contains([]string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"}, node.Sel.Name) {
						t.Errorf("%s uses time.%s at %s", p.ImportPath, node.Sel.Name, files.Position(node.Pos()))
					}
				}
				return true
			})
		}
	}
}

// taken returns an address that is in use while the test runs.
func taken(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	return listener.Addr().String()
}

func file(t *testing.T, content string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func secret(t *testing.T) string { return file(t, strings.Repeat("s", 32)) }

func TestWithoutFFmpegTheOriginSaysWhatToInstall(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	var stdout, stderr bytes.Buffer
	code := run([]string{"up", "--http=127.0.0.1:0", "--rtmp=127.0.0.1:0", "--data", t.TempDir()}, &stdout, &stderr)
	if said := stderr.String(); code != exitFailed || !strings.Contains(said, "ffmpeg was not found") || strings.Count(said, "\n") != 1 {
		t.Errorf("exit code %d, %q", code, said)
	}
}

func TestAFlagIsAnEnvironmentVariableAndAConfigurationKeyToo(t *testing.T) {
	used := func(args ...string) string {
		var stdout, stderr bytes.Buffer
		if code := run(args, &stdout, &stderr); code != exitFailed {
			t.Fatalf("%v: exit code %d, %s", args, code, stderr.String())
		}
		return stderr.String()
	}
	// The data directory shows in the sentence that it cannot be used.
	top := file(t, "data: /proc/from-the-top\nsource: none\n")
	section := file(t, "data: /proc/from-the-top\nup:\n  data: /proc/from-the-section\n")
	if said := used("up", "--config", top); !strings.Contains(said, "/proc/from-the-top") {
		t.Errorf("a key at the top level is not heard: %s", said)
	}
	if said := used("up", "--config", section); !strings.Contains(said, "/proc/from-the-section") {
		t.Errorf("a key under the command is not heard: %s", said)
	}
	if said := used("up", "--config", section, "--data=/proc/from-the-flag"); !strings.Contains(said, "/proc/from-the-flag") {
		t.Errorf("the flag does not come first: %s", said)
	}
	t.Setenv("SLIPSTREAM_DATA", "/proc/from-the-environment")
	if said := used("up"); !strings.Contains(said, "/proc/from-the-environment") {
		t.Errorf("the environment is not heard: %s", said)
	}
}

func TestATokenIsPrinted(t *testing.T) {
	data := t.TempDir()
	var stdout, stderr bytes.Buffer
	code := run([]string{"origin", "token", "news", "--create", "--valid=1h", "--data", data}, &stdout, &stderr)
	if token := strings.TrimSpace(stdout.String()); code != 0 || strings.Count(token, ".") != 2 || strings.ContainsAny(token, " \n") {
		t.Errorf("exit code %d, %q, %s", code, token, stderr.String())
	}
	if _, err := os.Stat(filepath.Join(data, "keys", "publish.key")); err != nil {
		t.Error(err)
	}
}

func TestPullsAreATable(t *testing.T) {
	data := "--data=" + t.TempDir()
	refused := func(want string, args ...string) {
		t.Helper()
		var stdout, stderr bytes.Buffer
		if code := run(args, &stdout, &stderr); code != exitFailed || !strings.Contains(stderr.String(), want) {
			t.Errorf("%v: exit code %d, %s; want %q", args, code, stderr.String(), want)
		}
	}
	const missing = `the channel "two" cannot be pulled: the source cannot be read: open /nowhere`
	refused(missing, "origin", data, "--channel=demo,two", "--pull=demo=main.go", "--pull=two=/nowhere")
	refused(missing, "origin", data, "--channel=demo,two", "--config", file(t, "pull:\n  demo: main.go\n  two: /nowhere\n"))
	refused(missing, "origin", data, "--channel=demo,two", "--config", file(t, "origin:\n  pull-once:\n    two: /nowhere\n"))
	t.Setenv("SLIPSTREAM_PULL", "demo=main.go;two=/nowhere")
	refused(missing, "origin", data, "--channel=demo,two")
}

func TestBadInputIsOneSentenceAndAnExitCode(t *testing.T) {
	unwritable := "/proc/nothing/here"
	for _, c := range []struct {
		name string
		args []string
		code int
		says string
	}{
		{"no command", nil, exitUsage, "expected one of"},
		{"unknown flag", []string{"peer", "--bogus"}, exitUsage, "--bogus"},
		{"unknown command", []string{"fly"}, exitUsage, "fly"},
		{"no number", []string{"peer", "-n", "many", "http://localhost/x.m3u8"}, exitUsage, "many"},
		{"no URL", []string{"peer", "live/demo"}, exitFailed, "is not the URL of a channel"},
		{"no viewers", []string{"peer", "-n", "0", "http://localhost/x.m3u8"}, exitFailed, "0 viewers"},
		{"no channel there", []string{"peer", "http://127.0.0.1:1/live/demo/index.m3u8"}, exitFailed, "cannot be joined"},
		{"nothing to seed", []string{"seeder", "live/demo"}, exitFailed, "is not the URL of a channel"},
		{"no secret to seed with", []string{"seeder", "--token-key=/nowhere.key", "http://localhost/x.m3u8"}, exitFailed, "/nowhere.key"},
		{"no playlist", []string{"origin", "verify", "http://127.0.0.1:1/index.m3u8"}, exitFailed, "127.0.0.1:1"},
		{"no scenario", []string{"sim", "run", "/nowhere.yaml"}, exitFailed, "/nowhere.yaml"},
		{"no scenario to be fast at", []string{"sim", "speed", "/nowhere.yaml"}, exitFailed, "/nowhere.yaml"},
		{"no bars", []string{"sim", "bars", "--only=gold"}, exitFailed, "no bars called gold"},
		{"no emulation of this", []string{"sim", "emulate", file(t, "stream: { segment: 4s }")}, exitFailed, "stream.segment must be 2s"},
		{"no channel of that name", []string{"origin", "token", "../x"}, exitFailed, `the channel name "../x"`},
		{"no setting of a channel", []string{"origin", "--config", file(t, "channels: {news: {colour: red}}")}, exitUsage, "colour"},
		{"no ladder of a channel", []string{"origin", "--config", file(t, "channels: {news: {rung: [big]}}")}, exitFailed, `the channel "news": the rung "big"`},
		{"no rung", []string{"origin", "--rung=big"}, exitFailed, `"big"`},
		{"data directory", []string{"up", "--http=127.0.0.1:0", "--rtmp=127.0.0.1:0", "--source=none", "--data", unwritable}, exitFailed, unwritable},
		{"port in use", []string{"up", "--http=" + taken(t), "--rtmp=127.0.0.1:0", "--source=none", "--data", t.TempDir()}, exitFailed, "another program uses"},
		{"tracker's port in use", []string{"tracker", "--listen=" + taken(t), "--token-key", secret(t)}, exitFailed, "another program uses"},
		{"no token secret", []string{"tracker", "--token-key=/nowhere.key"}, exitFailed, "/nowhere.key"},
		{"no tracker", []string{"tracker", "top", "--once", "http://127.0.0.1:1"}, exitFailed, "the tracker does not answer"},
		{"profiles for everybody", []string{"tracker", "--listen=127.0.0.1:0", "--debug-listen=:0", "--token-key", secret(t)}, exitFailed, "--debug-anywhere"},
		{"no channel", []string{"tracker", "channel", "demo", "--cluster=x", "--nats=nats://127.0.0.1:1", "--token-key", secret(t)}, exitFailed, "cannot reach NATS"},
		{"no geo database", []string{"tracker", "geo", "check", "/nowhere.csv"}, exitFailed, "/nowhere.csv"},
		{"a tracker without its geo database", []string{"tracker", "--listen=127.0.0.1:0", "--geo=/nowhere.csv", "--token-key", secret(t)}, exitFailed, "/nowhere.csv"},
		{"nowhere to keep a geo database", []string{"tracker", "geo", "fetch", "--url=http://127.0.0.1:1"}, exitFailed, "--to"},
		{"a tracker without its certificate", []string{"tracker", "--listen=127.0.0.1:0", "--tls-cert=/nowhere.pem", "--tls-key=/nowhere.key", "--token-key", secret(t)}, exitFailed, "/nowhere."},
		{"no name of a key", []string{"tracker", "token", "key", "two words"}, exitFailed, "cannot name a key"},
		{"no token keys", []string{"tracker", "--token-key", secret(t), "--token-keys=/nowhere.yaml"}, exitFailed, "/nowhere.yaml"},
		{"no sharing", []string{"tracker", "--listen=127.0.0.1:0", "--token-key", secret(t), "--sharing=*=perhaps"}, exitFailed, "relay or off"},
		{"a relay nowhere", []string{"tracker", "--listen=127.0.0.1:0", "--token-key", secret(t), "--relay=0.0.0.0:0"}, exitFailed, "at which IP address"},
		{"a token for ever", []string{"tracker", "token", "mint", strings.Repeat("A", 43), "--life=1h", "--key", secret(t)}, exitFailed, "longer than 120 seconds"},
		{"no token", []string{"tracker", "token", "check", "rubbish", "--token-key", secret(t)}, exitFailed, "token-invalid"},
		{"no such setting", []string{"up", "--config", file(t, "colour: red")}, exitUsage, `"colour"`},
		{"no YAML", []string{"up", "--config", file(t, "{")}, exitUsage, "configuration file"},
		{"no key", []string{"up", "--https=127.0.0.1:0", "--tls-cert=cert.pem", "--data", t.TempDir()}, exitFailed, "give both --tls-cert and --tls-key"},
		{"two certificates of an origin", []string{"up", "--https=127.0.0.1:0", "--tls-self-signed", "--acme-domain=live.example.test", "--data", t.TempDir()}, exitFailed, "there can be one certificate"},
		{"two certificates of a tracker", []string{"tracker", "--listen=127.0.0.1:0", "--tls-cert=a.pem", "--tls-key=b.pem", "--acme-domain=live.example.test", "--token-key", secret(t)}, exitFailed, "there can be one certificate"},
		{"terminators nowhere", []string{"tracker", "--listen=127.0.0.1:0", "--proxy-protocol", "--token-key", secret(t)}, exitFailed, "by --trust"},
		{"no domain", []string{"tracker", "--listen=127.0.0.1:0", "--acme-domain=localhost", "--token-key", secret(t)}, exitFailed, "without wildcards"},
		{"no channel to pull into", []string{"origin", "--pull=other=main.go", "--data", t.TempDir()}, exitFailed, "a channel that does not exist"},
		{"no such role", []string{"origin", "--role=cook"}, exitUsage, "--role"},
		{"nowhere to push", []string{"origin", "--role=encode", "--data", t.TempDir()}, exitFailed, "say where to by --push"},
		{"push of another channel", []string{"origin", "--push=other=http://127.0.0.1:1/ingest/key", "--data", t.TempDir()}, exitFailed, "does not exist"},
		{"push to no publishing point", []string{"origin", "--push=http://127.0.0.1:1", "--data", t.TempDir()}, exitFailed, "address of a publishing point"},
		{"two sources", []string{"up", "--http=127.0.0.1:0", "--rtmp=127.0.0.1:0", "--source=main.go", "--pull=demo=main.go", "--data", t.TempDir()}, exitFailed, "choose one"},
		{"no source", []string{"up", "--http=127.0.0.1:0", "--rtmp=127.0.0.1:0", "--source=/nowhere.mp4", "--data", t.TempDir()}, exitFailed, "/nowhere.mp4"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			code := run(c.args, &stdout, &stderr)
			said := strings.TrimSpace(stderr.String())
			last := said[strings.LastIndex(said, "\n")+1:]
			if code != c.code || !strings.Contains(last, c.says) || !strings.HasPrefix(last, "slipstream: ") {
				t.Errorf("exit code %s, last line %q; want %d and a sentence with %q", strconv.Itoa(code), last, c.code, c.says)
			}
		})
	}
}
