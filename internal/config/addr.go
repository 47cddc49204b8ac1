package config

import (
	"fmt"
	"net/netip"
	"strings"
)

// AddrKind says where an address stands, which decides what it may look like (manual section 2.9).
type AddrKind int

const (
	AddrBind   AddrKind = iota // a listening stream socket: port mandatory, lists and ranges
	AddrServer                 // a server: port optional, offsets, names resolved later
	AddrLog                    // a log target: datagram by default, fd@ is any descriptor
	AddrHost                   // an address without port, such as a server's `addr`
)

const (
	maxAddrs       = 1 << 16 // addresses of one bind line after expansion
	maxUnixPath    = 97      // sun_path less the ".PID.tmp" of a socket being replaced
	maxAbstract    = 107
	familyIPv4     = 4
	familyIPv6     = 6
	quicNotPresent = "; QUIC is not compiled in if this is what you were looking for."
)

// addrForms are the prefixes of an address. Order matters where one is the beginning of another.
var addrForms = []struct {
	prefix string
	net    string // "" keeps the default of the place
	family int
	path   bool
}{
	{"unix@", "unix", 0, true}, {"uxst@", "unix", 0, true}, {"uxdg@", "unixgram", 0, true},
	{"abns@", "abns", 0, true}, {"abnsz@", "abnsz", 0, true},
	{"ipv4@", "", familyIPv4, false}, {"ipv6@", "", familyIPv6, false}, {"ip@", "", 0, false},
	{"tcp4@", "tcp", familyIPv4, false}, {"tcp6@", "tcp", familyIPv6, false}, {"tcp@", "tcp", 0, false},
	{"udp4@", "udp", familyIPv4, false}, {"udp6@", "udp", familyIPv6, false}, {"udp@", "udp", 0, false},
	{"quic4@", "quic", familyIPv4, false}, {"quic6@", "quic", familyIPv6, false},
	{"mptcp4@", "mptcp", familyIPv4, false}, {"mptcp6@", "mptcp", familyIPv6, false}, {"mptcp@", "mptcp", 0, false},
	{"fd@", "fd", 0, false}, {"sockpair@", "sockpair", 0, false}, {"rhttp@", "rhttp", 0, false}, {"rev@", "rhttp", 0, false},
}

// ParseAddr reads one address word (manual section 2.9). AddrBind takes comma lists and port ranges and
// returns one Addr per socket; the other kinds return one. Names are left in Host for the caller to resolve.
func ParseAddr(text string, kind AddrKind) ([]Addr, error) {
	if kind != AddrBind {
		a, err := parseOneAddr(text, kind)
		return a, err
	}
	var all []Addr
	for rest := text; rest != ""; {
		var one string
		one, rest, _ = strings.Cut(rest, ",")
		addrs, err := parseOneAddr(one, kind)
		if err != nil {
			return nil, err
		}
		if len(all)+len(addrs) > maxAddrs {
			return nil, fmt.Errorf("too many addresses in '%s' (max %d)", text, maxAddrs)
		}
		all = append(all, addrs...)
	}
	return all, nil
}

// addrReader is one address on its way from text to Addr.
type addrReader struct {
	whole string // as written, for messages
	rest  string
	kind  AddrKind
	dgram bool // datagram sockets asked for
	quic  bool
	addr  Addr
}

func parseOneAddr(text string, kind AddrKind) ([]Addr, error) {
	if text == "" {
		return nil, fmt.Errorf("'%s' resolves to an empty address (environment variable missing?)", text)
	}
	r := &addrReader{whole: text, rest: text, kind: kind, dgram: kind == AddrLog}
	r.addr.Text = text
	path := r.prefix()
	switch {
	case r.addr.Network == "fd" || r.addr.Network == "sockpair":
		return r.descriptor()
	case r.addr.Network == "rhttp" || r.addr.Network == "mptcp":
		return nil, fmt.Errorf("%s addresses are not supported in '%s'", r.addr.Network, text)
	case path:
		return r.path()
	}
	return r.inet()
}

// prefix strips what says the kind of socket and reports whether a path follows.
func (r *addrReader) prefix() bool {
	switch {
	case strings.HasPrefix(r.rest, "stream+"):
		r.rest, r.dgram = r.rest[7:], false
	case strings.HasPrefix(r.rest, "dgram+"):
		r.rest, r.dgram = r.rest[6:], true
	case strings.HasPrefix(r.rest, "quic+"):
		r.rest, r.quic, r.dgram = r.rest[5:], true, false
	}
	for _, f := range addrForms {
		if !strings.HasPrefix(r.rest, f.prefix) {
			continue
		}
		r.rest = r.rest[len(f.prefix):]
		r.addr.Network, r.addr.Family = f.net, f.family
		switch f.net {
		case "quic":
			r.quic, r.dgram = true, false
		case "udp", "unixgram":
			r.dgram = true
		case "tcp":
			r.dgram = false
		case "unix":
			r.dgram = r.dgram && f.prefix == "unix@"
		}
		return f.path
	}
	if strings.HasPrefix(r.rest, "/") {
		r.addr.Network = "unix"
		return true
	}
	return false
}

// descriptor reads fd@N.
func (r *addrReader) descriptor() ([]Addr, error) {
	n, used := strtol(r.rest)
	if r.rest == "" || n < 0 || used != len(r.rest) {
		return nil, fmt.Errorf("file descriptor '%s' is not a valid integer in '%s'", r.rest, r.whole)
	}
	if r.addr.Network == "sockpair" {
		return nil, fmt.Errorf("sockpair addresses are not supported in '%s'", r.whole)
	}
	if r.kind == AddrServer || r.kind == AddrHost {
		return nil, fmt.Errorf("a file descriptor is not acceptable here in '%s'", r.whole)
	}
	r.addr.FD = n
	return r.done()
}

func (r *addrReader) path() ([]Addr, error) {
	limit := maxUnixPath
	if r.addr.Network != "unix" && r.addr.Network != "unixgram" {
		limit = maxAbstract
	}
	if len(r.rest) > limit {
		return nil, fmt.Errorf("socket path '%s' too long (max %d)", r.whole, limit)
	}
	if r.dgram && r.addr.Network == "unix" {
		r.addr.Network = "unixgram"
	}
	r.addr.Path = r.rest
	return r.done()
}

// done checks that the type of the socket fits the place.
func (r *addrReader) done() ([]Addr, error) {
	if r.quic {
		family := 2 // AF_INET, the number HAProxy prints
		if r.addr.Family == familyIPv6 || r.addr.IP.Is6() {
			family = 10
		}
		return nil, fmt.Errorf("unsupported stream protocol for datagram family %d address '%s'%s", family, r.whole, quicNotPresent)
	}
	if r.dgram && r.kind != AddrLog {
		return nil, fmt.Errorf("dgram-type address not acceptable in '%s'", r.whole)
	}
	return []Addr{r.addr}, nil
}

func (r *addrReader) inet() ([]Addr, error) {
	host, port, hasPort := r.rest, "", false
	if i := strings.LastIndexAny(r.rest, ":]"); i >= 0 && r.rest[i] == ':' {
		host, port, hasPort = r.rest[:i], r.rest[i+1:], true
	}
	if hasPort && r.kind == AddrHost {
		return nil, fmt.Errorf("port specification not permitted here in '%s'", r.whole)
	}
	low, high, err := r.ports(port)
	if err != nil {
		return nil, err
	}
	if err := r.host(host); err != nil {
		return nil, err
	}
	if r.addr.Network == "" || r.addr.Network == "quic" {
		r.addr.Network = "tcp"
		if r.dgram {
			r.addr.Network = "udp"
		}
	}
	out, err := r.done()
	if err != nil || low == high {
		return out, err
	}
	first := out[0]
	for p := low + 1; p <= high; p++ {
		first.Port = p
		out = append(out, first)
	}
	return out, nil
}

// ports reads the text after the colon and sets the address's port.
func (r *addrReader) ports(text string) (low, high int, err error) {
	minPort := 0
	if r.kind == AddrBind {
		minPort = 1
	}
	switch {
	case text == "":
		if minPort > 0 {
			return 0, 0, fmt.Errorf("missing port specification in '%s'", r.whole)
		}
		r.addr.NoPort = true
		return 0, 0, nil
	case isDigit(text[0]):
		first, last, ranged := strings.Cut(text, "-")
		if !ranged {
			last = first
		} else if r.kind != AddrBind {
			return 0, 0, fmt.Errorf("port range not permitted here in '%s'", r.whole)
		}
		if low, err = r.port(first, minPort); err != nil {
			return 0, 0, err
		}
		if high, err = r.port(last, minPort); err != nil {
			return 0, 0, err
		}
		if low > high {
			return 0, 0, fmt.Errorf("invalid port range '%d-%d'", low, high)
		}
		r.addr.Port = low
		return low, high, nil
	case text[0] == '+' || text[0] == '-':
		if r.kind != AddrServer {
			return 0, 0, fmt.Errorf("port offset not permitted here in '%s'", r.whole)
		}
		n, used := strtol(text[1:])
		if used != len(text)-1 || used == 0 {
			return 0, 0, r.badPort(text[1:], used)
		}
		if text[0] == '-' {
			n = -n
		}
		r.addr.Port, r.addr.PortOffset = n, true
		return n, n, nil
	}
	return 0, 0, r.badPort(text, 0)
}

func (r *addrReader) badPort(text string, at int) error {
	c := byte(' ')
	if at < len(text) {
		c = text[at]
	}
	return fmt.Errorf("invalid character '%c' in port number '%s' in '%s'", c, text, r.whole)
}

func (r *addrReader) port(text string, minPort int) (int, error) {
	n, used := strtol(text)
	if used != len(text) {
		return 0, r.badPort(text, used)
	}
	if n < minPort || n > 65535 {
		return 0, fmt.Errorf("invalid port '%s'", text)
	}
	return n, nil
}

// host sets the IP, or Host for a name. An empty host or "*" is every IPv4 address, as in HAProxy, unless the
// family says IPv6.
func (r *addrReader) host(text string) error {
	if len(text) >= 2 && text[0] == '[' && text[len(text)-1] == ']' {
		text = text[1 : len(text)-1]
		if _, err := netip.ParseAddr(text); err != nil {
			return fmt.Errorf("invalid address: '[%s]' in '%s'", text, r.whole)
		}
	}
	if text == "" || text == "*" {
		if r.addr.Family == familyIPv6 {
			r.addr.IP = netip.IPv6Unspecified()
		} else {
			r.addr.IP, r.addr.Family = netip.IPv4Unspecified(), familyIPv4
		}
		return nil
	}
	ip, err := netip.ParseAddr(text)
	if err != nil {
		if !hostName(text) {
			return fmt.Errorf("invalid address: '%s' in '%s'", text, r.whole)
		}
		r.addr.Host = text
		return nil
	}
	if ip.Is4() && r.addr.Family == familyIPv6 || ip.Is6() && r.addr.Family == familyIPv4 {
		return fmt.Errorf("invalid address: '%s' in '%s'", text, r.whole)
	}
	r.addr.IP, r.addr.Family = ip, familyIPv6
	if ip.Is4() {
		r.addr.Family = familyIPv4
	}
	return nil
}

// hostName accepts what a resolver may be asked: letters, digits, '-', '_' and '.', 255 bytes at most.
func hostName(s string) bool {
	if s == "" || len(s) > 255 {
		return false
	}
	for i := 0; i < len(s); i++ {
		if !isAlnum(s[i]) && s[i] != '-' && s[i] != '_' && s[i] != '.' {
			return false
		}
	}
	return true
}
