package config

import (
	"strconv"
	"strings"
)

// proxyServerKeywords are the server keywords of the PROXY protocol towards servers.
func proxyServerKeywords() []Keyword {
	flag := func(name string) Keyword {
		return Keyword{Name: name, In: InServer, Manual: "5.2", parse: (*parser).serverSendProxy}
	}
	return []Keyword{
		flag("send-proxy"), flag("send-proxy-v2"), flag("send-proxy-v2-ssl"), flag("send-proxy-v2-ssl-cn"), flag("check-send-proxy"),
		flag("no-send-proxy"), flag("no-send-proxy-v2"), flag("no-send-proxy-v2-ssl"), flag("no-send-proxy-v2-ssl-cn"), flag("no-check-send-proxy"),
		{Name: "proxy-v2-options", Args: "<option>[,<option>]*", args: 1, In: InServer, Manual: "5.2", parse: (*parser).serverProxyOptions},
		{Name: "set-proxy-v2-tlv-fmt", Args: "(<type>) <format>", args: 1, In: InServer, Manual: "5.2", parse: (*parser).serverProxyTLV},
	}
}

func (p *parser) serverSendProxy(s *statement) {
	l := s.srv
	switch s.arg(s.at) {
	case "send-proxy":
		l.sendV1 = true
	case "send-proxy-v2":
		l.sendV2 = true
	case "send-proxy-v2-ssl":
		l.sendV2, l.ProxyV2 = true, l.ProxyV2|ProxySSL
	case "send-proxy-v2-ssl-cn":
		l.sendV2, l.ProxyV2 = true, l.ProxyV2|ProxySSL|ProxyCertCN
	case "no-send-proxy":
		l.sendV1 = false
	case "no-send-proxy-v2":
		l.sendV2 = false
	case "no-send-proxy-v2-ssl":
		l.sendV2, l.ProxyV2 = false, l.ProxyV2&^ProxySSL
	case "no-send-proxy-v2-ssl-cn":
		l.sendV2, l.ProxyV2 = false, l.ProxyV2&^(ProxySSL|ProxyCertCN)
	case "check-send-proxy":
		l.CheckSendProxy = true
	case "no-check-send-proxy":
		l.CheckSendProxy = false
	}
	l.SendProxy = 0
	switch { // each version is asked for, and taken back, by itself; version 2 wins
	case l.sendV2:
		l.SendProxy = 2
	case l.sendV1:
		l.SendProxy = 1
	}
}

var proxyOptions = map[string]ProxyV2{
	"ssl": ProxySSL, "cert-cn": ProxySSL | ProxyCertCN, "cert-key": ProxySSL | ProxyCertKey, "cert-sig": ProxySSL | ProxyCertSig,
	"ssl-cipher": ProxySSL | ProxySSLCipher, "authority": ProxyAuthority, "crc32c": ProxyCRC32C, "unique-id": ProxyUniqueID,
}

func (p *parser) serverProxyOptions(s *statement) {
	for word := range strings.SplitSeq(s.arg(s.at+1), ",") {
		bits, ok := proxyOptions[word]
		if !ok {
			p.serverBad(s.srv, "'%s' : proxy v2 option not implemented", word)
			return
		}
		s.srv.ProxyV2 |= bits
	}
}

func (p *parser) serverProxyTLV(s *statement) {
	word := s.arg(s.at)
	_, inside, given := strings.Cut(word, "(")
	id, closed := strings.CutSuffix(inside, ")")
	n, err := strconv.ParseUint(id, 0, 32)
	switch {
	case given && !closed:
		p.serverBad(s.srv, "'%s' : expects set-proxy-v2-tlv(<TLV ID>)", word)
	case !given || err != nil || strings.Contains(id, "_"):
		p.serverBad(s.srv, "'%s' : could not convert TLV ID", word)
	case n > 255:
		p.serverBad(s.srv, "'%s' : the maximum allowed TLV ID is %d", word, 255)
	default:
		s.srv.ProxyTLVs = append(s.srv.ProxyTLVs, ProxyTLV{Pos: s.pos, Type: byte(n), Format: s.arg(s.at + 1)})
	}
}
