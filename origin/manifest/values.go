package manifest

import (
	"strings"
	"time"
)

// The grammars below are narrower than RFC 8216's where a free reading would let two languages disagree.

// parseInteger reads 1 to 16 decimal digits below 2^53.
func parseInteger(s string) (int64, bool) {
	if len(s) < 1 || len(s) > 16 {
		return 0, false
	}
	var v int64
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		v = v*10 + int64(s[i]-'0')
	}
	return v, v < maxInteger
}

// parseSecondsMs reads seconds with an optional fraction, below 10^9 s, and truncates to ms.
func parseSecondsMs(s string) (int64, bool) {
	whole, fraction, hasFraction := strings.Cut(s, ".")
	seconds, ok := parseInteger(whole)
	if !ok || seconds >= 1e9 || hasFraction && fraction == "" {
		return 0, false
	}
	ms, ok := parseFractionMs(fraction)
	return seconds*1000 + ms, ok
}

// parseFractionMs reads up to 15 digits after a decimal point and keeps three.
func parseFractionMs(digits string) (int64, bool) {
	if digits == "" {
		return 0, true
	}
	if _, ok := parseInteger(digits); !ok || len(digits) > 15 {
		return 0, false
	}
	return parseInteger((digits + "00")[:3])
}

// parseDateMs reads YYYY-MM-DDThh:mm:ss[.fraction](Z|±hh:mm|±hhmm), years 1970 to 9999, as ms since the Unix epoch.
func parseDateMs(s string) (int64, bool) {
	const layout = "0000-00-00T00:00:00"
	if len(s) <= len(layout) {
		return 0, false
	}
	var n [6]int64
	for field, at := range [6]int{0, 5, 8, 11, 14, 17} {
		width := 2
		if field == 0 {
			width = 4
		}
		v, ok := parseInteger(s[at : at+width])
		if !ok || at > 0 && s[at-1] != layout[at-1] {
			return 0, false
		}
		n[field] = v
	}
	year, month, day, hour, minute, second := n[0], n[1], n[2], n[3], n[4], n[5]
	if year < 1970 || month < 1 || month > 12 || day < 1 || day > 31 || hour > 23 || minute > 59 || second > 59 {
		return 0, false
	}
	zone := strings.TrimLeft(s[len(layout):], ".0123456789")
	fraction := s[len(layout) : len(s)-len(zone)]
	if fraction != "" && (fraction[0] != '.' || fraction == ".") {
		return 0, false
	}
	ms, ok := parseFractionMs(strings.TrimPrefix(fraction, "."))
	offsetMinutes, okZone := parseZone(zone)
	if !ok || !okZone {
		return 0, false
	}
	date := time.Date(int(year), time.Month(month), int(day), int(hour), int(minute), int(second), 0, time.UTC)
	v := date.UnixMilli() + ms - offsetMinutes*60_000
	return v, v >= 0
}

// parseZone reads Z, ±hh:mm or ±hhmm as minutes east of Greenwich.
func parseZone(s string) (int64, bool) {
	if s == "Z" {
		return 0, true
	}
	if len(s) == 6 && s[3] == ':' {
		s = s[:3] + s[4:]
	}
	if len(s) != 5 || s[0] != '+' && s[0] != '-' {
		return 0, false
	}
	hhmm, ok := parseInteger(s[1:])
	minutes := hhmm/100*60 + hhmm%100
	if s[0] == '-' {
		minutes = -minutes
	}
	return minutes, ok && hhmm/100 <= 23 && hhmm%100 <= 59
}

// attribute returns the value of one attribute of an attribute list (RFC 8216 section 4.2), without its quotes.
func attribute(list, name string) (string, bool) {
	for list != "" {
		key, rest, ok := strings.Cut(list, "=")
		if !ok {
			return "", false
		}
		var value string
		if strings.HasPrefix(rest, `"`) {
			if value, rest, ok = strings.Cut(rest[1:], `"`); !ok || rest != "" && rest[0] != ',' {
				return "", false
			}
			rest = strings.TrimPrefix(rest, ",")
		} else {
			value, rest, _ = strings.Cut(rest, ",")
		}
		if strings.TrimLeft(key, " ") == name {
			return value, true
		}
		list = rest
	}
	return "", false
}
