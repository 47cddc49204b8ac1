package config

import "slices"

// bindKeywords is the table of bind and stats socket lines (manual section 5.1).
func bindKeywords() []Keyword {
	b := func(name, args string, n int, parse func(p *parser, s *statement)) Keyword {
		return Keyword{Name: name, Args: args, args: n, In: InBind, Manual: "5.1", parse: parse}
	}
	tls := func(name, args string, n int) Keyword {
		return Keyword{Name: name, Args: args, args: n, In: InBind, Manual: "5.1", parse: (*parser).bindTLS}
	}
	list := []Keyword{
		b("accept-proxy", "", 0, (*parser).bindFlag),
		b("backlog", "<number>", 1, (*parser).bindNumber),
		b("ca-sign-file", "<file>", 1, (*parser).bindSigner),
		b("ca-sign-pass", "<passphrase>", 1, (*parser).bindSigner),
		b("crt", "<file>|<dir>", 1, (*parser).bindCrt),
		b("crt-list", "<file>", 1, (*parser).bindCrt),
		b("default-crt", "<file>", 1, (*parser).bindCrt),
		b("defer-accept", "", 0, (*parser).bindFlag),
		b("ech", "<dir>", 1, (*parser).bindECH),
		b("expose-fd", "listeners", 1, (*parser).bindExpose),
		b("generate-certificates", "", 0, (*parser).bindFlag),
		b("gid", "<number>", 1, (*parser).bindOwner),
		b("group", "<name>", 1, (*parser).bindOwner),
		b("id", "<number>", 1, (*parser).bindID),
		b("interface", "<name>", 1, (*parser).bindInterface),
		b("level", "user|operator|admin", 1, (*parser).bindLevel),
		b("maxconn", "<number>", 1, (*parser).bindNumber),
		b("mode", "<octal>", 1, (*parser).bindMode),
		b("mss", "<number>", 1, (*parser).bindMSS),
		b("name", "<name>", 1, (*parser).bindName),
		b("accept-netscaler-cip", "<magic>", 1, (*parser).bindNetscaler),
		b("no-strict-sni", "", 0, (*parser).bindFlag),
		b("proto", "h1|h2|none", 1, (*parser).bindProto),
		b("severity-output", "none|number|string", 1, (*parser).bindSeverity),
		b("ssl", "", 0, (*parser).bindFlag),
		b("strict-sni", "", 0, (*parser).bindFlag),
		b("tfo", "", 0, (*parser).bindFlag),
		b("uid", "<number>", 1, (*parser).bindOwner),
		b("user", "<name>", 1, (*parser).bindOwner),
		b("v4v6", "", 0, (*parser).bindFlag),
		b("v6only", "", 0, (*parser).bindFlag),

		tls("alpn", "<protocols>", 1), tls("no-alpn", "", 0),
		tls("ca-file", "<file>", 1), tls("ca-verify-file", "<file>", 1), tls("crl-file", "<file>", 1),
		tls("ca-ignore-err", "all|<errors>", 1), tls("crt-ignore-err", "all|<errors>", 1), tls("no-ca-names", "", 0),
		tls("ciphers", "<list>", 1), tls("ciphersuites", "<list>", 1), tls("curves", "<list>", 1), tls("ecdhe", "<curve>", 1),
		tls("client-sigalgs", "<list>", 1), tls("sigalgs", "<list>", 1),
		tls("force-sslv3", "", 0), tls("force-tlsv10", "", 0), tls("force-tlsv11", "", 0), tls("force-tlsv12", "", 0), tls("force-tlsv13", "", 0),
		tls("no-sslv3", "", 0), tls("no-tlsv10", "", 0), tls("no-tlsv11", "", 0), tls("no-tlsv12", "", 0), tls("no-tlsv13", "", 0),
		tls("ssl-min-ver", "<version>", 1), tls("ssl-max-ver", "<version>", 1),
		tls("no-tls-tickets", "", 0), tls("tls-tickets", "", 0), tls("tls-ticket-keys", "<file>", 1), tls("prefer-client-ciphers", "", 0),
		tls("verify", "none|optional|required", 1),

		{Name: "acme", Args: "<acme section>", args: 1, In: InBind, own: true, parse: (*parser).bindACME,
			Note: "certificates of this line are issued by that acme section; needs domains"},
		{Name: "domains", Args: "<name>[,<name>]*", args: 1, In: InBind, own: true, parse: (*parser).bindDomains,
			Note: "the names of the certificate that acme issues for this line"},
	}
	list = append(list, Keyword{Name: "process", Args: "<set>", args: 1, In: InBind, State: Refused, Manual: "5.1", parse: (*parser).bindProcess,
		Note: "removed from HAProxy in 2.7"})
	list = append(list, Keyword{Name: "allow-0rtt", In: InBind, State: NoEffect, Manual: "5.1", Note: "no early data is ever taken"})
	// Scheduling belongs to the Go runtime.
	list = append(list, noEffect(InBind, "5.1", "guid-prefix <text>", "label <text>", "nice <number>", "shards <number>", "thread <set>")...)
	list = append(list, refused(InBind, "5.1", "cc <algo>",
		"idle-ping <time>", "ktls on|off", "namespace <name>", "nbconn <number>", "npn <protocols>",
		"tcp-md5sig <key>", "tcp-ss <number>", "tcp-ut <time>", "transparent")...)
	list = append(list, hidden(refused(InBind, "5.1", "quic-cc-algo <algo>", "quic-force-retry", "quic-socket <owner>"))...)
	slices.SortStableFunc(list, byName)
	return list
}
