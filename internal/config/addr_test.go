package config

import (
	"fmt"
	"strings"
	"testing"
)

// show prints what matters of an address: network, ip or host, port, path or descriptor.
func show(addrs []Addr) string {
	var out []string
	for _, a := range addrs {
		s := a.Network + " "
		switch {
		case a.Network == "fd":
			s += fmt.Sprint(a.FD)
		case a.Path != "":
			s += a.Path
		default:
			host := a.Host
			if a.IP.IsValid() {
				host = a.IP.String()
			}
			s += fmt.Sprintf("%s/%d", host, a.Family)
			switch {
			case a.NoPort:
			case a.PortOffset:
				s += fmt.Sprintf(" %+d", a.Port)
			default:
				s += fmt.Sprintf(" %d", a.Port)
			}
		}
		out = append(out, s)
	}
	return strings.Join(out, ", ")
}

func TestAddresses(t *testing.T) {
	for _, c := range []struct {
		kind       AddrKind
		text, want string
	}{
		{AddrBind, ":443", "tcp 0.0.0.0/4 443"},
		{AddrBind, "*:443", "tcp 0.0.0.0/4 443"},
		{AddrBind, ":::443", "tcp ::/6 443"},
		{AddrBind, "[::]:443", "tcp ::/6 443"},
		{AddrBind, "ipv6@:443", "tcp ::/6 443"},
		{AddrBind, "[2001:db8::1]:80", "tcp 2001:db8::1/6 80"},
		{AddrBind, "1.2.3.4:80,:81", "tcp 1.2.3.4/4 80, tcp 0.0.0.0/4 81"},
		{AddrBind, ":80-82", "tcp 0.0.0.0/4 80, tcp 0.0.0.0/4 81, tcp 0.0.0.0/4 82"},
		{AddrBind, "www.example.org:80", "tcp www.example.org/0 80"},
		{AddrBind, "fd@7", "fd 7"},
		{AddrBind, "stream+fd@7", "fd 7"},
		{AddrBind, "stream+127.0.0.1:1", "tcp 127.0.0.1/4 1"},
		{AddrBind, "tcp4@1.2.3.4:5", "tcp 1.2.3.4/4 5"},
		{AddrBind, "unix@/run/x.sock", "unix /run/x.sock"},
		{AddrBind, "/run/x.sock", "unix /run/x.sock"},
		{AddrBind, "uxst@x", "unix x"},
		{AddrBind, "abns@name", "abns name"},
		{AddrBind, "abnsz@name", "abnsz name"},
		{AddrServer, "1.2.3.4", "tcp 1.2.3.4/4"},
		{AddrServer, "1.2.3.4:", "tcp 1.2.3.4/4"},
		{AddrServer, "1.2.3.4:80", "tcp 1.2.3.4/4 80"},
		{AddrServer, "1.2.3.4:+10", "tcp 1.2.3.4/4 +10"},
		{AddrServer, "1.2.3.4:-10", "tcp 1.2.3.4/4 -10"},
		{AddrServer, "app:8080", "tcp app/0 8080"},
		{AddrServer, "ipv4@app:8080", "tcp app/4 8080"},
		{AddrServer, "/run/app.sock", "unix /run/app.sock"},
		{AddrLog, "127.0.0.1:514", "udp 127.0.0.1/4 514"},
		{AddrLog, "/dev/log", "unixgram /dev/log"},
		{AddrLog, "unix@/dev/log", "unixgram /dev/log"},
		{AddrLog, "tcp@1.2.3.4:5", "tcp 1.2.3.4/4 5"},
		{AddrLog, "stream+1.2.3.4:5", "tcp 1.2.3.4/4 5"},
		{AddrLog, "fd@1", "fd 1"},
		{AddrHost, "1.2.3.4", "tcp 1.2.3.4/4"},
	} {
		got, err := ParseAddr(c.text, c.kind)
		if err != nil || show(got) != c.want {
			t.Errorf("ParseAddr(%q, %d) = %s, %v; want %s", c.text, c.kind, show(got), err, c.want)
		}
	}
}

func TestBrokenAddresses(t *testing.T) {
	for _, c := range []struct {
		kind       AddrKind
		text, want string
	}{
		{AddrBind, "1.2.3.4", "missing port specification in '1.2.3.4'"},
		{AddrBind, ":0", "invalid port '0'"},
		{AddrBind, ":65536", "invalid port '65536'"},
		{AddrBind, ":9-1", "invalid port range '9-1'"},
		{AddrBind, ":8x", "invalid character 'x' in port number '8x' in ':8x'"},
		{AddrBind, ":+8", "port offset not permitted here in ':+8'"},
		{AddrBind, "udp@:8", "dgram-type address not acceptable in 'udp@:8'"},
		{AddrBind, "dgram+fd@3", "dgram-type address not acceptable in 'dgram+fd@3'"},
		{AddrBind, "quic4@:443", "unsupported stream protocol for datagram family 2 address 'quic4@:443'; QUIC is not compiled in if this is what you were looking for."},
		{AddrBind, "sockpair@3", "sockpair addresses are not supported in 'sockpair@3'"},
		{AddrBind, "mptcp@:80", "mptcp addresses are not supported in 'mptcp@:80'"},
		{AddrBind, "ipv4@::1:80", "invalid address: '::1' in 'ipv4@::1:80'"},
		{AddrBind, "a/b:80", "invalid address: 'a/b' in 'a/b:80'"},
		{AddrBind, "/" + strings.Repeat("x", 100), "socket path '/" + strings.Repeat("x", 100) + "' too long (max 97)"},
		{AddrBind, ":1-65535,:1-65535", "too many addresses in ':1-65535,:1-65535' (max 65536)"},
		{AddrServer, "fd@3", "a file descriptor is not acceptable here in 'fd@3'"},
		{AddrServer, "fd@x", "file descriptor 'x' is not a valid integer in 'fd@x'"},
		{AddrServer, "1.2.3.4:1-2", "port range not permitted here in '1.2.3.4:1-2'"},
		{AddrHost, "1.2.3.4:5", "port specification not permitted here in '1.2.3.4:5'"},
		{AddrServer, "", "'' resolves to an empty address (environment variable missing?)"},
	} {
		if got, err := ParseAddr(c.text, c.kind); err == nil || err.Error() != c.want {
			t.Errorf("ParseAddr(%q, %d) = %s, %v; want error %s", c.text, c.kind, show(got), err, c.want)
		}
	}
}
