package config

import (
	"net/netip"
	"strings"
)

// checkKind is which option chose the kind of health check.
type checkKind int

const (
	checkNone checkKind = iota
	checkHTTP
	checkTCP
	checkSSLHello
)

// proxyOption reads `option NAME`, `no option NAME` and `default option NAME`.
func (p *parser) proxyOption(s *statement) {
	name := s.arg(1)
	if name == "" {
		p.alertTight("'%s' expects an option name.", s.arg(0))
		return
	}
	k := p.t.option.by[name]
	if k == nil {
		if near := p.t.option.nearest(name, 0); near != "" {
			p.alert("unknown option '%s'; did you mean '%s' maybe ?", name, near)
		} else {
			p.alert("unknown option '%s'.", name)
		}
		return
	}
	s.key = k
	switch {
	case k.State == Refused && k.parse == nil:
		if s.no || s.reset {
			return // leaving out what we do not have is what we do
		}
		p.alert("'option %s' is not supported in '%s' section.", name, p.section.Name)
	case k.State == NoEffect:
		if !s.no && !s.reset {
			p.noEffect("option " + name)
		}
	default:
		k.parse(p, s)
	}
}

// optionPlace warns as HAProxy when an option has no side to act on.
func (p *parser) optionPlace(s *statement) bool {
	here := p.place()
	if p.px.Kind == "defaults" || s.key.In&here != 0 {
		return true
	}
	missing := "no frontend"
	if here == InFrontend {
		missing = "no backend"
	}
	p.warning("'%s' ignored because %s '%s' has %s capability.", s.arg(1), typeName(p.px), p.px.Name, missing)
	return false
}

func (p *parser) positiveOnly(s *statement) bool {
	if s.no || s.reset {
		p.alertTight("negation/default is not supported for option '%s'.", s.arg(1))
		return false
	}
	return true
}

func flagField(px *Proxy, name string) *bool {
	switch name {
	case "abortonclose":
		return &px.AbortOnClose
	case "allbackups":
		return &px.AllBackups
	case "clitcpka":
		return &px.ClientKeepAlive
	case "dontlog-normal":
		return &px.DontLogNormal
	case "dontlognull":
		return &px.DontLogNull
	case "http-buffer-request":
		return &px.HTTPBufferReq
	case "http-ignore-probes":
		return &px.HTTPIgnoreProbes
	case "http-pretend-keepalive":
		return &px.PretendKeepAlive
	case "log-health-checks":
		return &px.LogHealthChecks
	case "log-separate-errors":
		return &px.LogSeparateErrors
	case "logasap":
		return &px.LogASAP
	case "accept-unsafe-violations-in-http-request":
		return &px.UnsafeRequests
	case "accept-unsafe-violations-in-http-response":
		return &px.UnsafeResponses
	case "h1-case-adjust-bogus-client":
		return &px.CaseForClients
	case "h1-case-adjust-bogus-server":
		return &px.CaseForServers
	case "http-use-proxy-header":
		return &px.UseProxyHeader
	case "idle-close-on-response":
		return &px.IdleCloseOnResponse
	case "nolinger":
		return &px.NoLinger
	case "prefer-last-server":
		return &px.PreferLastServer
	case "http-drop-request-trailers":
		return &px.DropReqTrailers
	case "http-drop-response-trailers":
		return &px.DropResTrailers
	case "persist":
		return &px.Persist
	case "socket-stats":
		return &px.SocketStats
	case "srvtcpka":
		return &px.ServerKeepAlive
	}
	return nil
}

func (p *parser) optionFlag(s *statement) {
	if p.tooMany(s, 0, 1) || !p.optionPlace(s) {
		return
	}
	*flagField(s.px, s.arg(1)) = !s.no && !s.reset
	if s.arg(1) == "abortonclose" {
		s.px.NoAbortOnClose = s.no
	}
}

// optionHTTPMode sets one of three modes; each replaces the others, and "no" cancels only itself.
func (p *parser) optionHTTPMode(s *statement) {
	if p.tooMany(s, 0, 1) {
		return
	}
	if s.reset {
		p.positiveOnly(s)
		return
	}
	px := s.px
	field := map[string]*bool{"httpclose": &px.HTTPClose, "http-server-close": &px.HTTPServerClose, "http-keep-alive": &px.HTTPKeepAlive}[s.arg(1)]
	if s.no {
		*field = false
		return
	}
	px.HTTPClose, px.HTTPServerClose, px.HTTPKeepAlive = false, false, false
	*field = true
}

func (p *parser) optionRedispatch(s *statement) {
	if !p.optionPlace(s) {
		return
	}
	s.px.Redispatch = nil
	if s.no || s.reset {
		return
	}
	n := -1
	if s.arg(2) != "" {
		if n = atol(s.arg(2)); n == 0 {
			return
		}
	}
	s.px.Redispatch = &n
}

func (p *parser) optionLog(s *statement) {
	if !p.positiveOnly(s) {
		return
	}
	name := s.arg(1)
	clf := false
	switch {
	case name == "httpslog":
		if p.tooMany(s, 0, 1) {
			return
		}
	case s.arg(2) == "clf":
		clf = true
		if p.tooMany(s, 1, 1) {
			return
		}
	case s.arg(2) != "":
		p.alert("keyword '%s' only supports option 'clf'.", name)
		return
	}
	full := "option " + name
	if clf {
		full += " clf"
	}
	p.setLogFormat(s, full)
	px := s.px
	px.HTTPLog, px.TCPLog, px.HTTPSLog, px.CLFLog = name == "httplog", name == "tcplog", name == "httpslog", clf
	if px.Kind == "backend" {
		p.warning("backend '%s' : 'option %s' directive is ignored in backends.", px.Name, name)
	}
}

func (p *parser) optionTCPKA(s *statement) {
	if !p.positiveOnly(s) || p.tooMany(s, 0, 1) {
		return
	}
	s.px.ClientKeepAlive, s.px.ServerKeepAlive, s.px.TCPKeepAlive = true, true, true
}

func (p *parser) optionForwardFor(s *statement) {
	if !p.positiveOnly(s) {
		return
	}
	ff := &ForwardFor{Header: "x-forwarded-for"}
	for i := 2; i < len(s.words); {
		switch s.arg(i) {
		case "except":
			net, ok := parseNet(s.arg(i + 1))
			if !ok {
				p.alert("'%s %s %s' expects <address>[/mask] as argument.", s.arg(0), s.arg(1), s.arg(i))
				return
			}
			ff.Except = &net
			i += 2
		case "header":
			if s.arg(i+1) == "" {
				p.alert("'%s %s %s' expects <header_name> as argument.", s.arg(0), s.arg(1), s.arg(i))
				return
			}
			ff.Header = s.arg(i + 1)
			i += 2
		case "if-none":
			ff.IfNone = true
			i++
		default:
			p.alert("'%s %s' only supports optional values: 'except', 'header' and 'if-none'.", s.arg(0), s.arg(1))
			return
		}
	}
	s.px.ForwardFor = ff
}

// parseNet reads ADDRESS[/BITS] or, for IPv4, ADDRESS/NETMASK.
func parseNet(text string) (netip.Prefix, bool) {
	host, mask, hasMask := strings.Cut(text, "/")
	ip, err := netip.ParseAddr(host)
	if err != nil || ip.Zone() != "" {
		return netip.Prefix{}, false
	}
	bits := ip.BitLen()
	if hasMask {
		n, used := strtol(mask)
		if m, err := netip.ParseAddr(mask); err == nil && m.Is4() && ip.Is4() {
			if n = maskBits(m.As4()); n < 0 {
				return netip.Prefix{}, false
			}
		} else if mask == "" || used != len(mask) || n < 0 || n > bits {
			return netip.Prefix{}, false
		}
		bits = n
	}
	return netip.PrefixFrom(ip, bits).Masked(), true
}

// maskBits counts the leading ones of a netmask, -1 when a one follows a zero.
func maskBits(m [4]byte) int {
	v := uint32(m[0])<<24 | uint32(m[1])<<16 | uint32(m[2])<<8 | uint32(m[3])
	n := 0
	for v&0x80000000 != 0 {
		n++
		v <<= 1
	}
	if v != 0 {
		return -1
	}
	return n
}

// optionGone words the refusal of options that HAProxy removed.
func (p *parser) optionGone(s *statement) {
	switch name := s.arg(1); name {
	case "forceclose":
		p.alertTight("option '%s' is not supported any more since HAProxy 2.0, please just remove it, or use 'option httpclose' if absolutely needed.", name)
	case "http-tunnel":
		p.alertTight("option '%s' is not supported any more since HAProxy 2.1, please just remove it, it shouldn't be needed.", name)
	default:
		p.alertTight("option '%s' is not supported any more since HAProxy 2.5. This option stopped working in HAProxy 1.9 and usually had nasty side effects. "+
			"It can be more reliably implemented with combinations of 'http-request set-dst' and 'http-request set-uri', and even "+
			"'http-request do-resolve' if DNS resolution is desired.", name)
	}
}
