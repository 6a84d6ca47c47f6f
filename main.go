// Slipstream delivers live HLS to large audiences by letting viewers carry it for
// each other. This program is all of it: see `slipstream --help`.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"slipstream/origin"
	"slipstream/origin/certificate"
	"slipstream/peer"
	"slipstream/player"
	"slipstream/seeder"
	"slipstream/sim"
	"slipstream/tracker"
)

// Exit codes: 0 success, 1 it did not work, 2 it was called wrongly.
const (
	exitFailed = 1
	exitUsage  = 2
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

func run(args []string, stdout, stderr io.Writer) int {
	exited := -1
	parser := func(cli *commands) (*kong.Kong, error) {
		return kong.New(cli,
			kong.Name("slipstream"),
			kong.Description("Live HLS that viewers carry for each other."),
			kong.Configuration(readConfig),
			kong.DefaultEnvars("SLIPSTREAM"),
			kong.Writers(stdout, stderr),
			kong.Exit(func(code int) { exited = code }),
			kong.UsageOnError(),
			kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		)
	}
	var cli commands
	first, err := parser(&cli)
	if err != nil {
		fmt.Fprintln(stderr, "slipstream:", err)
		return exitUsage
	}
	command, err := first.Parse(args)
	if exited >= 0 {
		return exited
	}
	if err != nil {
		fmt.Fprintf(stderr, "slipstream: %v (see slipstream --help)\n", err)
		return exitUsage
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	level := slog.LevelWarn
	if cli.Verbose {
		level = slog.LevelDebug
	}
	log := slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: level}))
	again := func() (tracker.Commands, error) {
		var now commands
		p, err := parser(&now)
		if err == nil {
			_, err = p.Parse(args)
		}
		return now.Tracker, err
	}
	command.BindTo(ctx, (*context.Context)(nil))
	command.BindTo(stdout, (*io.Writer)(nil))
	command.Bind(log, origin.Pages(player.Pages), tracker.OpenCertificate(openCertificate), tracker.Again(again), seeder.ReadSecret(tracker.ReadSecret))
	if err := command.Run(); err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(stderr, "slipstream:", err)
		return exitFailed
	}
	return 0
}

// commands is the command line. Every flag is an environment variable too
// (SLIPSTREAM_HTTP for --http) and a key of the configuration file. Each component
// has its own flags, and knows what to do with them: the Run methods, whose
// parameters are what run binds.
type commands struct {
	Config  kong.ConfigFlag `help:"Configuration file (YAML): flags by name, at the top or under their command." placeholder:"FILE"`
	Verbose bool            `help:"Log what happens, not only what goes wrong." short:"v"`

	Up      upCommand        `cmd:"" help:"A whole channel in one process: origin, tracker, one seeder, a test picture."`
	Origin  origin.Commands  `cmd:"" help:"Take a live stream in, sign it, serve it as HLS; or verify a channel from outside."`
	Tracker tracker.Commands `cmd:"" help:"Bring viewers together."`
	Seeder  seeder.Command   `cmd:"" help:"Keep a channel's live window and serve it to viewers."`
	Peer    peer.Command     `cmd:"" help:"Watch a channel with headless viewers and report what they saw."`
	Sim     sim.Commands     `cmd:"" help:"Ask what a large audience would do."`
}

// openCertificate lends the tracker what the origin has.
func openCertificate(f tracker.CertificateFlags, log *slog.Logger) (tracker.Certificate, error) {
	source := certificate.Source{Cert: f.TLSCert, Key: f.TLSKey, ACME: certificate.ACME{
		Domains: f.ACMEDomain, Email: f.ACMEEmail, CA: f.ACMECA, Root: f.ACMERoot, Dir: f.ACMEData,
	}}
	certificates, err := source.Open(log)
	if err != nil || certificates == nil {
		return tracker.Certificate{}, err
	}
	return tracker.Certificate{TLS: certificates.TLS, Keep: certificates.Keep}, nil
}
