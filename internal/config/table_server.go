package config

import "slices"

// serverKeywords is the table of server and default-server lines (manual section 5.2).
func serverKeywords() []Keyword {
	v := func(name, args string, n int, parse func(p *parser, s *statement)) Keyword {
		return Keyword{Name: name, Args: args, args: n, In: InServer, Manual: "5.2", parse: parse}
	}
	tls := func(name, args string, n int) Keyword {
		return v(name, args, n, (*parser).serverTLS)
	}
	flag := func(name string) Keyword { return v(name, "", 0, (*parser).serverFlag) }
	number := func(name string) Keyword { return v(name, "<number>", 1, (*parser).serverNumber) }
	delay := func(name string) Keyword { return v(name, "<time>", 1, (*parser).serverTime) }
	text := func(name, args string) Keyword { return v(name, args, 1, (*parser).serverText) }
	list := []Keyword{
		text("addr", "<ip>"), text("ca-file", "<file>"), text("check-sni", "<name>"), text("cookie", "<value>"), text("crl-file", "<file>"),
		text("crt", "<file>"), text("init-addr", "<method>[,<method>]*"), text("on-marked-down", "shutdown-sessions"),
		text("pool-conn-name", "<expression>"), text("sni", "<expression>"), text("verify", "none|required"), text("verifyhost", "<name>"),
		text("redir", "<prefix>"), text("check-alpn", "<protocols>"), flag("non-stick"), flag("backup"), flag("no-backup"), flag("check"), flag("no-check"), flag("check-ssl"), flag("no-check-ssl"), flag("disabled"), flag("enabled"),
		flag("no-ssl"), flag("ssl"),
		flag("sni-auto"), flag("no-sni-auto"),
		flag("agent-check"), flag("no-agent-check"), text("agent-addr", "<ip>"), text("agent-send", "<text>"), text("track", "[<backend>/]<server>"),
		delay("agent-inter"), number("agent-port"),
		delay("downinter"), delay("fastinter"), delay("inter"), delay("pool-purge-delay"), delay("slowstart"),
		number("fall"), number("id"), number("max-reuse"), number("maxconn"), number("maxqueue"), number("minconn"), number("pool-low-conn"), number("pool-max-conn"),
		number("port"), number("rise"), number("weight"),

		tls("ciphers", "<list>", 1), tls("ciphersuites", "<list>", 1), tls("client-sigalgs", "<list>", 1), tls("curves", "<list>", 1), tls("sigalgs", "<list>", 1),
		tls("alpn", "<protocols>", 1),
		tls("force-sslv3", "", 0), tls("force-tlsv10", "", 0), tls("force-tlsv11", "", 0), tls("force-tlsv12", "", 0), tls("force-tlsv13", "", 0),
		tls("no-sslv3", "", 0), tls("no-tlsv10", "", 0), tls("no-tlsv11", "", 0), tls("no-tlsv12", "", 0), tls("no-tlsv13", "", 0),
		tls("ssl-min-ver", "<version>", 1), tls("ssl-max-ver", "<version>", 1), tls("no-tls-tickets", "", 0), tls("tls-tickets", "", 0),
		tls("no-ssl-reuse", "", 0), tls("ssl-reuse", "", 0), tls("renegotiate", "", 0), tls("no-renegotiate", "", 0),
	}
	list = append(list, noEffect(InServer, "5.2", "guid <text>", "no-check-reuse-pool", "no-check-sni-auto", "no-tfo")...)
	list = append(list, Keyword{Name: "allow-0rtt", In: InServer, State: NoEffect, Manual: "5.2", Note: "no early data is ever sent"})
	list = append(list, refused(InServer, "5.2", "cc <algo>",
		"check-pool-conn-name <name>", "check-proto <name>", "check-reuse-pool", "check-sni-auto",
		"check-via-socks4", "error-limit <number>", "hash-key <key>", "healthcheck <name>", "idle-ping <time>", "init-state <state>", "ktls on|off",
		"log-bufsize <bytes>", "log-proto <name>", "namespace <name>", "npn <protocols>", "observe <mode>", "on-error <mode>",
		"on-marked-up <action>", "proto <name>", "resolve-net <nets>",
		"resolve-opts <options>", "resolve-prefer <family>", "resolvers <id>",
		"shard <shard>", "socks4 <addr>", "source <addr>", "stick", "strict-maxconn", "tcp-md5sig <key>", "tcp-ut <time>", "tfo",
		"usesrc", "ws <mode>")...)
	list = append(list, hidden(refused(InServer, "5.2", "no-verifyhost", "quic-cc-algo <algo>"))...)
	list = append(list, proxyServerKeywords()...)
	slices.SortStableFunc(list, byName)
	return list
}
