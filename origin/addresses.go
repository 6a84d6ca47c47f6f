package origin

import "net"

// AlsoPublishTo is where a channel is published besides RTMP.
func (at Ready) AlsoPublishTo(channel Channel) (addresses []string) {
	if at.RTMPS != "" {
		addresses = append(addresses, "rtmps://"+Reachable(at.RTMPS)+"/live")
	}
	if at.SRT != "" {
		addresses = append(addresses, "srt://"+Reachable(at.SRT)+"?streamid=live/"+channel.StreamKey)
	}
	if at.WHIP != "" {
		addresses = append(addresses, "http://"+Reachable(at.HTTP)+"/whip/"+channel.Name+"  bearer token "+channel.StreamKey)
	}
	return addresses
}

// Reachable turns a bound address into one to connect to.
func Reachable(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	return net.JoinHostPort(host, port)
}
