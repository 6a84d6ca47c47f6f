package announce

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"unicode/utf8"
)

// Decode reads one message. Its error is a sentence that names the message and what is wrong with it, and holds
// nothing of the input, so it can be logged and sent back. Empty lists come back as nil.
func Decode(b []byte) (Message, error) {
	if len(b) > MaxMessage {
		return nil, fmt.Errorf("the message has %d bytes, the limit is %d", len(b), MaxMessage)
	}
	if !utf8.Valid(b) {
		return nil, errors.New("the message is not UTF-8")
	}
	// encoding/json would match names in any case and take null for a default; raw values do neither, exactly like
	// JSON.parse, so both languages accept the same messages.
	if !json.Valid(b) {
		return nil, errNoObject
	}
	f := fieldsOf(b)
	if f.members == nil {
		return nil, errNoObject
	}
	name := f.text("type", true)
	if f.err != nil {
		return nil, fmt.Errorf("the message has no type: %w", f.err)
	}
	m := f.message(name)
	if m == nil {
		return nil, errors.New("the message has an unknown type")
	}
	if f.err == nil {
		f.err = m.check()
	}
	if f.err != nil {
		return nil, fmt.Errorf("the %s message is malformed: %w", name, f.err)
	}
	return m, nil
}

var errNoObject = errors.New("the message is not a JSON object")

func (f *fields) message(name string) Message {
	switch name {
	case "join":
		return Join{
			Version: f.integer("version", true), Token: f.joinToken(),
			Role: Role(f.text("role", true)), Renditions: f.texts("renditions", MaxRenditions),
			NoUpload: f.flag("noUpload", false), UplinkBps: f.integer("uplinkBps", false), NAT: f.nat(),
		}
	case "renew":
		return Renew{Token: f.text("token", true)}
	case "signal":
		return f.signalMessage()
	case "report":
		return f.report()
	case "leave":
		return Leave{}
	case "welcome":
		return Welcome{
			ID: f.id("id"), ReportMs: f.integer("reportMs", true), Viewers: f.integer("viewers", true),
			RenewMs: f.integer("renewMs", false), ICEServers: f.iceServers(), RelayOnly: f.flag("relayOnly", false),
		}
	case "neighbour":
		return Neighbour{ID: f.id("id"), Offer: f.flag("offer", true)}
	case "gone":
		return Gone{ID: f.id("id"), Close: f.flag("close", false)}
	case "duty":
		return f.duty()
	case "cap":
		return Cap{UploadBps: f.integer("uploadBps", true)}
	case "error":
		return Error{Code: f.text("code", true), Message: f.text("message", true)}
	}
	return nil
}

// joinToken must be a token if it is there: "" is for those who have shown theirs.
func (f *fields) joinToken() string {
	s := f.text("token", false)
	if f.raw("token") != nil && s == "" {
		f.fail(errToken)
	}
	return s
}

func (f *fields) iceServers() (out []ICEServer) {
	for _, o := range f.objects("iceServers", MaxICEServers, false) {
		out = append(out, ICEServer{
			URLs: o.texts("urls", MaxICEServers), Username: o.text("username", false), Credential: o.text("credential", false),
		})
		f.fail(o.err)
	}
	return out
}

// nat must be a code if it is there: "" is for those who say nothing.
func (f *fields) nat() NAT {
	s := f.text("nat", false)
	if f.raw("nat") != nil {
		f.fail(checkCode("nat", s))
	}
	return NAT(s)
}

// signalMessage tells the direction by which of "to" and "from" is there.
func (f *fields) signalMessage() Message {
	body := f.inner("signal")
	s := Signal{
		Kind: Kind(body.text("kind", true)), Ufrag: body.text("ufrag", true), Pwd: body.text("pwd", false),
		Fingerprint: body.text("fingerprint", false), Setup: body.text("setup", false),
		Candidates: body.texts("candidates", MaxCandidates),
	}
	f.fail(body.err)
	to, from := f.raw("to") != nil, f.raw("from") != nil
	switch {
	case to == from:
		f.fail(errors.New(`it needs exactly one of "to" and "from"`))
	case to:
		return SignalTo{To: f.id("to"), Signal: s}
	}
	return SignalFrom{From: f.id("from"), Signal: s}
}

func (f *fields) report() Message {
	m := Report{
		Ready: f.flag("ready", true), NoUpload: f.flag("noUpload", false), Neighbours: f.integer("neighbours", false),
		Renditions: f.texts("renditions", MaxRenditions), UplinkBps: f.integer("uplinkBps", false),
		HTTPBytes: f.integer("httpBytes", false), P2PBytes: f.integer("p2pBytes", false),
		UploadedBytes: f.integer("uploadedBytes", false), Stalls: f.integer("stalls", false),
		StallMs: f.integer("stallMs", false), LatencyMs: f.integer("latencyMs", false),
		Rescues: f.integer("rescues", false),
	}
	for _, o := range f.objects("dropped", MaxDropped, false) {
		m.Dropped = append(m.Dropped, Drop{ID: o.id("id"), Reason: Reason(o.text("reason", true))})
		f.fail(o.err)
	}
	for _, o := range f.objects("rtts", MaxRTTs, false) {
		m.RTTs = append(m.RTTs, RTT{ID: o.id("id"), Ms: o.integer("ms", true)})
		f.fail(o.err)
	}
	return m
}

func (f *fields) duty() Message {
	m := Duty{}
	for _, o := range f.objects("duties", MaxDuties, true) {
		d := Share{Rendition: o.text("rendition", true)}
		stripes := o.integer("stripes", true)
		if stripes > math.MaxUint16 {
			o.fail(errors.New("stripes is not from 1 to 65535"))
		}
		d.Stripes = uint16(stripes)
		m.Duties = append(m.Duties, d)
		f.fail(o.err)
	}
	return m
}
