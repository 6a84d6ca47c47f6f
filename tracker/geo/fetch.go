package geo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// FetchConfig is what `slipstream tracker geo fetch` was asked for.
type FetchConfig struct {
	URL string // empty: tell where there are databases
	To  string // the file
	Out io.Writer
}

// sources is what an operator should know before he chooses.
const sources = `Slipstream comes with no database of addresses; these are free of charge. Read their licences before you use one.

  iptoasn       operator and country, CSV, no account, public domain (PDDL 1.0), renewed hourly
                https://iptoasn.com/data/ip2asn-combined.tsv.gz
  DB-IP lite    operator or country (one file each), CSV and mmdb, no account, CC BY 4.0 (name DB-IP where viewers see it), monthly
                https://db-ip.com/db/lite.php
  IPinfo Lite   operator and country, CSV and mmdb, with an account, CC BY-SA 4.0 (name IPinfo), daily
                https://ipinfo.io/lite
  GeoLite       operator or country (one file each), mmdb, with an account, MaxMind's own licence (copies must be renewed within
                30 days, and may not be passed on)
                https://dev.maxmind.com/geoip/geolite2-free-geolocation-data

  slipstream tracker geo fetch --url https://iptoasn.com/data/ip2asn-combined.tsv.gz --to geo.tsv.gz
  slipstream tracker geo check geo.tsv.gz
  slipstream tracker --geo geo.tsv.gz

A tracker that runs reads the file again when it changes.
`

// fetchTimeout bounds a download.
const fetchTimeout = 10 * time.Minute

// Fetch tells where there are databases or, if it is given an address, downloads one, makes sure that it can be used, and
// puts it in the place of the former.
func Fetch(ctx context.Context, cfg FetchConfig) error {
	if cfg.URL == "" {
		_, err := io.WriteString(cfg.Out, sources)
		return err
	}
	if cfg.To == "" {
		return errors.New("say with --to which file the database shall be kept in")
	}
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, cfg.URL, nil)
	if err != nil {
		return fmt.Errorf("the database cannot be fetched: %w", err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("the database cannot be fetched: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("the database cannot be fetched: the server answered %s", response.Status)
	}
	t, err := keep(response.Body, cfg.To)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(cfg.Out, "%s: %d ranges of IPv4, %d of IPv6\n", cfg.To, len(t.v4.from), len(t.v6.from))
	return err
}

// keep writes a database beside its place, reads it, and only then moves it there.
func keep(from io.Reader, to string) (*Table, error) {
	beside, err := os.CreateTemp(filepath.Dir(to), filepath.Base(to)+".*")
	if err != nil {
		return nil, fmt.Errorf("the database cannot be kept: %w", err)
	}
	defer os.Remove(beside.Name()) // fails when all went well
	n, err := io.Copy(beside, io.LimitReader(from, maxFile+1))
	if err == nil && n > maxFile {
		err = fmt.Errorf("it is larger than %d MiB", maxFile>>20)
	}
	if err = errors.Join(err, beside.Sync(), beside.Chmod(0o644), beside.Close()); err != nil {
		return nil, fmt.Errorf("the database cannot be kept: %w", err)
	}
	t, err := ReadFile(beside.Name())
	if err != nil {
		return nil, fmt.Errorf("what the server sent is of no use, and nothing has changed: %w", err)
	}
	if err := os.Rename(beside.Name(), to); err != nil {
		return nil, fmt.Errorf("the database cannot be kept: %w", err)
	}
	return t, nil
}
