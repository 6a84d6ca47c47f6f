package tracker

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"slipstream/tracker/announce"
	"slipstream/tracker/token"
)

type tokenCommands struct {
	Mint  mintCommand     `cmd:"" help:"Make a token."`
	Check checkCommand    `cmd:"" help:"Tell what a token says, or why a tracker would refuse it."`
	Key   tokenKeyCommand `cmd:"" help:"Make a pair of keys for somebody who mints tokens."`
}

type mintCommand struct {
	ID          string        `arg:"" help:"The channel's id."`
	Key         string        `help:"File with the private key or secret." default:"data/keys/token.key" placeholder:"FILE"`
	Kid         string        `help:"The key's name in the tracker's file of keys; default: none, the origin's." placeholder:"NAME"`
	WebOrigin   string        `help:"Web origin of the page that it is for; default: none, a program." placeholder:"ORIGIN"`
	Role        string        `help:"viewer or seeder." enum:"viewer,seeder" default:"viewer"`
	Fingerprint string        `help:"Fingerprint of the viewer's certificate, as in session descriptions; default: none, unbound." placeholder:"\"sha-256 AB:CD:…\""`
	Life        time.Duration `help:"How long it is valid, at most 120s." default:"60s" placeholder:"TIME"`
	Sharing     token.Sharing `help:"relay: its viewer meets others through the relay only." enum:",relay,off" default:""`
}

func (c mintCommand) Run(out io.Writer) error {
	minted, err := c.mint()
	if err == nil {
		fmt.Fprintln(out, minted)
	}
	return err
}

func (c mintCommand) mint() (string, error) {
	key, err := readKey(c.Key)
	if err != nil {
		return "", err
	}
	now := time.Now()
	claims := token.Claims{
		Channel: c.ID, Origin: c.WebOrigin, Role: announce.Viewer, ID: rand.Text(), Issued: now, Expires: now.Add(c.Life), Sharing: c.Sharing,
	}
	if c.Role == "seeder" {
		claims.Role = announce.Seeder
	}
	if c.Fingerprint != "" {
		if claims.Fingerprint, err = token.ParseFingerprint(c.Fingerprint); err != nil {
			return "", err
		}
	}
	return key.Mint(c.Kid, claims)
}

type checkCommand struct {
	Token     string `arg:"" help:"The token."`
	TokenKey  string `help:"File with the origin's token secret; empty: none." default:"data/keys/token.key" placeholder:"FILE"`
	TokenKeys string `help:"The tracker's file of keys." placeholder:"FILE"`
	WebOrigin string `help:"Web origin of the page that shows it." placeholder:"ORIGIN"`
}

// Run writes what a token says, or returns why a tracker with these keys would refuse it.
func (c checkCommand) Run(out io.Writer) error {
	terms, err := readKeys(c.TokenKeys)
	if err != nil {
		return err
	}
	if c.TokenKey != "" {
		secret, err := ReadSecret(c.TokenKey)
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
	claims, by, refusal := ring.Check(c.Token, c.WebOrigin, now)
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

type tokenKeyCommand struct {
	Name string `arg:"" help:"The key's name, the kid of its tokens."`
	Dir  string `help:"Where to put it." default:"." placeholder:"DIR"`
}

// Run makes a key pair: name.key mints and stays with whoever mints, name.pub is for the tracker. It says how to
// name the latter in the file of keys.
func (c tokenKeyCommand) Run(out io.Writer) error {
	if !keyName(c.Name) {
		return fmt.Errorf("%.80q cannot name a key: take 1 to %d letters, digits, - and _", c.Name, token.MaxID)
	}
	private, public, err := token.NewPair(rand.Reader)
	if err != nil {
		return err
	}
	base := filepath.Join(c.Dir, c.Name)
	for _, f := range []struct {
		path    string
		content []byte
		mode    os.FileMode
	}{{base + ".key", private, 0o600}, {base + ".pub", public, 0o644}} {
		if err := writeNew(f.path, f.content, f.mode); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(out, "%s.key mints tokens: give it to nobody but whoever mints them\n%s.pub is for the tracker's file of keys (--token-keys):\n\n- kid: %s\n  key: %s.pub\n", base, base, c.Name, c.Name)
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
