package config

import (
	"slices"
	"strings"
)

// sectionKeywords are the words that begin a section (manual sections 3 and 4).
func sectionKeywords() []Keyword {
	sec := func(name, args, manual string, parse func(p *parser, s *statement)) Keyword {
		return Keyword{Name: name, Args: args, In: InFile, Manual: manual, parse: parse}
	}
	list := []Keyword{
		sec("acme", "<name>", "12.8", (*parser).beginACME),
		sec("backend", "<name> [from <defaults>]", "4", (*parser).beginProxy),
		sec("crt-store", "[<name>]", "12.7", (*parser).beginCrtStore),
		sec("defaults", "[<name>] [from <defaults>]", "4", (*parser).beginDefaults),
		sec("frontend", "<name> [from <defaults>]", "4", (*parser).beginProxy),
		{Name: "gatehouse", In: InFile, own: true, hides: true, parse: (*parser).beginGatehouse, Note: "what HAProxy has no word for"},
		sec("global", "", "3", (*parser).beginGlobal),
		sec("http-errors", "<name>", "12.4", (*parser).beginHTTPErrors),
		sec("listen", "<name> [from <defaults>]", "4", (*parser).beginProxy),
		sec("ring", "<name>", "12.5", (*parser).beginRing),
		sec("userlist", "<name>", "12.2", (*parser).beginUserlist),
	}
	for _, k := range [][2]string{{"cache <name>", "6.2.1"}, {"fcgi-app <name>", "10.1.1"}, {"healthcheck <name>", "12.9"},
		{"log-forward <name>", "12.6"}, {"log-profile <name>", "8.3.5"}, {"mailers <name>", "12.3"}, {"namespace_list", ""}, {"peers <name>", "11.2"},
		{"program <name>", ""}, {"resolvers <name>", "5.3.2"}, {"traces", "12.1"}} {
		list = append(list, refused(InFile, k[1], k[0])...)
	}
	slices.SortStableFunc(list, byName)
	return list
}

// proxyKeywords is the table of defaults, frontend, listen and backend sections (manual section 4).
func proxyKeywords() []Keyword {
	k := func(name, args string, in Place, parse func(p *parser, s *statement)) Keyword {
		return Keyword{Name: name, Args: args, In: in, Manual: "4.2", parse: parse}
	}
	list := []Keyword{
		k("acl", "<name> <criterion> [flags] [operator] [<value> ...]", inRul, (*parser).proxyACL),
		k("backlog", "<number>", inDFE, (*parser).proxyNumber),
		k("balance", "roundrobin|static-rr|leastconn|first|random[(<draws>)]", inDBE, (*parser).proxyBalance),
		k("bind", "<address> [<bind keyword> ...]", inFE, (*parser).frontendBind),
		k("capture", "cookie <name> len <n> | request|response header <name> len <n>", inDFE, (*parser).proxyCapture),
		k("declare", "capture request|response len <n>", inAll, (*parser).proxyDeclare),
		k("compression", "algo|algo-res <algorithm> ... | algo-req <algorithm> | type|type-res|type-req <type> ... | minsize-res|minsize-req <size> | direction request|response|both | offload", inAll, (*parser).proxyCompression),
		k("cookie", "<name> [rewrite|insert|prefix] [indirect] [nocache] [postonly] [preserve] [httponly] [secure] [domain <domain>]* [maxidle <time>] [maxlife <time>] [dynamic] [attr <value>]*", inDBE, (*parser).proxyCookie),
		k("filter", "compression|comp-req|comp-res | bwlim-in|bwlim-out <name> default-limit <size> default-period <time> [min-size <size>] | bwlim-in|bwlim-out <name> limit <size> key <expr> [table <table>] [min-size <size>]", inPx, (*parser).proxyFilter),
		k("default-server", "<server keyword> ...", inDBE, (*parser).proxyDefaultServer),
		k("default_backend", "<backend>", inDFE, (*parser).proxyDefaultBackend),
		k("description", "<text>", inPx, (*parser).proxyDescription),
		k("disabled", "", inAll, (*parser).proxyDisabled),
		k("dynamic-cookie-key", "<key>", inDBE, (*parser).proxyDynamicCookieKey),
		k("enabled", "", inAll, (*parser).proxyDisabled),
		k("error-log-format", "<format>", inAll, (*parser).proxyLogFormat),
		k("errorfile", "<code> <file>", inAll, (*parser).proxyErrorFile),
		k("errorfiles", "<name> [<code> ...]", inAll, (*parser).proxyErrorFiles),
		k("errorloc", "<code> <url>", inAll, (*parser).proxyErrorFile),
		k("errorloc302", "<code> <url>", inAll, (*parser).proxyErrorFile),
		k("errorloc303", "<code> <url>", inAll, (*parser).proxyErrorFile),
		k("force-persist", "if|unless <condition>", inBE, (*parser).proxyPersistRule),
		k("http-after-response", "<action> ... [if|unless <condition>]", inRul, (*parser).proxyRule),
		k("http-check", "send ... | expect ... | disable-on-404", inDBE, (*parser).proxyHTTPCheck),
		k("http-request", "<action> ... [if|unless <condition>]", inRul, (*parser).proxyRule),
		k("http-response", "<action> ... [if|unless <condition>]", inRul, (*parser).proxyRule),
		k("http-error", "status <code> [content-type <type>] [default-errorfiles|errorfile|errorfiles|file|lf-file|string|lf-string ...] [hdr <name> <format>] ...", inAll, (*parser).proxyHTTPError),
		k("http-reuse", "never|safe|aggressive|always", inDBE, (*parser).proxyHTTPReuse),
		k("id", "<number>", inPx, (*parser).proxyID),
		k("ignore-persist", "if|unless <condition>", inBE, (*parser).proxyPersistRule),
		k("load-server-state-from-file", "global|local|none", inAll, (*parser).proxyLoadState),
		k("server-state-file-name", "[<file>|use-backend-name]", inAll, (*parser).proxyStateFile),
		k("log", "global | <target> [len <n>] [format <f>] <facility> [<level> [<minlevel>]]", inAll, (*parser).proxyLog),
		k("log-format", "<format>", inAll, (*parser).proxyLogFormat),
		k("log-format-sd", "<format>", inAll, (*parser).proxyLogFormat),
		k("log-tag", "<text>", inAll, (*parser).proxyLogTag),
		k("maxconn", "<number>", inDFE, (*parser).proxyNumber),
		k("mode", "tcp|http", inAll, (*parser).proxyMode),
		k("monitor", "fail if|unless <condition>", inFE|InDefaults, (*parser).proxyMonitor),
		k("monitor-uri", "<uri>", inDFE, (*parser).proxyMonitorURI),
		k("option", "<option>", inAll, (*parser).proxyOption),
		k("redirect", "location|prefix|scheme <to> [<option> ...] [if|unless <condition>]", inPx, (*parser).proxyRedirect),
		k("rate-limit", "sessions <number>", inAll, (*parser).proxyRateLimit),
		k("retries", "<number>", inDBE, (*parser).proxyRetries),
		k("retry-on", "none | <condition> ...", inDBE, (*parser).proxyRetryOn),
		k("server", "<name> <address>[:<port>] [<server keyword> ...]", inBE, (*parser).proxyServer),
		k("ssl-f-use", "[crt <file>] [<load keyword> ...]", inFE, (*parser).proxySSLFUse),
		k("stats", "enable | uri <prefix> | auth <user>:<password> | admin if|unless <condition> | ...", inAll, (*parser).proxyStats),
		k("stick", "on|match|store-request|store-response <expression> [table <name>] [if|unless <condition>]", inBE, (*parser).proxyStick),
		k("stick-table", "type <type> size <size> [expire <time>] [nopurge] [srvkey name|addr] [brates-factor <n>] [store <data>,...]", inPx, (*parser).proxyStickTable),
		k("tcp-request", "connection|session|content <action> ... [if|unless <condition>] | inspect-delay <time>", inAll, (*parser).tcpRequest),
		k("tcp-response", "content <action> ... [if|unless <condition>] | inspect-delay <time>", inAll, (*parser).tcpResponse),
		k("timeout", "<name> <time>", inAll, (*parser).proxyTimeout),
		k("unique-id-format", "<format>", inAll, (*parser).proxyUniqueID),
		k("unique-id-header", "<name>", inAll, (*parser).proxyUniqueID),
		k("use-server", "<server> if|unless <condition>", inBE, (*parser).proxyUseServer),
		k("use_backend", "<backend> [if|unless <condition>]", inFE, (*parser).proxyUseBackend),
		k("clitimeout", "<time>", inDFE, (*parser).proxyOldTimeout),
		k("contimeout", "<time>", inDBE, (*parser).proxyOldTimeout),
		k("srvtimeout", "<time>", inDBE, (*parser).proxyOldTimeout),
		{Name: "bind-process", In: inAll, State: Refused, Manual: "4.2", hides: true, Note: "removed from HAProxy in 2.7", parse: (*parser).proxyGone},
		{Name: "monitor-net", Args: "<net>", In: inAll, State: Refused, Manual: "4.2", hides: true, Note: "removed from HAProxy in 2.5", parse: (*parser).proxyGone},
		{Name: "grace", Args: "<time>", In: inAll, State: Refused, Manual: "4.2", hides: true, Note: "removed from HAProxy in 2.5", parse: (*parser).proxyGone},
		{Name: "redispatch", In: inAll, State: Refused, Manual: "4.2", hides: true, Note: "removed from HAProxy in 2.1", parse: (*parser).proxyGone},
		{Name: "block", In: inAll, State: Refused, Manual: "4.2", Note: "removed from HAProxy in 2.1", parse: (*parser).proxyGone},
	}
	for _, n := range []string{"clitimeout", "contimeout", "srvtimeout"} {
		i := slices.IndexFunc(list, func(k Keyword) bool { return k.Name == n })
		list[i].Note = "old form of `timeout`, which HAProxy refuses since 2.1"
	}
	list = append(list, noEffect(inAll, "4.2", "guid <text>", "hash-preserve-affinity <mode>", "max-keep-alive-queue <n>")...)
	for _, name := range []string{"clitcpka-cnt", "clitcpka-idle", "clitcpka-intvl", "srvtcpka-cnt", "srvtcpka-idle", "srvtcpka-intvl"} {
		arg := "<time>"
		if strings.HasSuffix(name, "cnt") {
			arg = "<number>"
		}
		list = append(list, k(name, arg, inAll, (*parser).proxyProbes))
	}
	list = append(list, refused(inAll, "4.2", "appsession", "be-unpublished", "dispatch <address>",
		"email-alert",
		"external-check", "filter-sequence", "force-be-switch", "fullconn <n>", "hash-balance-factor <n>", "hash-type",
		"http-send-name-header", "log-steps", "max-session-srv-conns", "persist", "quic-initial",
		"server-template", "source <address>", "tcp-check",
		"transparent", "use-fcgi-app", "usesrc")...)
	slices.SortStableFunc(list, byName)
	return list
}

// optionKeywords is the table of `option` (manual section 4.2).
func optionKeywords() []Keyword {
	o := func(name, args string, in Place, parse func(p *parser, s *statement)) Keyword {
		return Keyword{Name: name, Args: args, In: in | InOption, Manual: "4.2", parse: parse}
	}
	flag := func(name string, in Place) Keyword { return o(name, "", in, (*parser).optionFlag) }
	list := []Keyword{
		flag("abortonclose", inAll), flag("allbackups", inDBE), flag("clitcpka", inDFE), flag("dontlog-normal", inDFE), flag("dontlognull", inDFE),
		flag("http-buffer-request", inAll), flag("http-ignore-probes", inDFE), flag("log-health-checks", inDBE), flag("log-separate-errors", inDFE), flag("logasap", inDFE),
		flag("persist", inDBE), flag("socket-stats", inDFE), flag("srvtcpka", inDBE),
		o("forwarded", "[proto] [host|host-expr <expr>] [by|by-expr <expr>] [by_port|by_port-expr <expr>] [for|for-expr <expr>] [for_port|for_port-expr <expr>]", inDBE, (*parser).optionForwarded),
		o("originalto", "[except <net>] [header <name>]", inAll, (*parser).optionOriginalTo),
		o("http-restrict-req-hdr-names", "preserve|delete|reject", inAll, (*parser).optionRestrict),
		noted(flag("accept-unsafe-violations-in-http-request", inDFE), unsafeNote),
		noted(flag("accept-unsafe-violations-in-http-response", inDBE), unsafeNote),
		o("accept-invalid-http-request", "", inDFE, (*parser).optionOldUnsafe), o("accept-invalid-http-response", "", inDBE, (*parser).optionOldUnsafe),
		flag("h1-case-adjust-bogus-client", inDFE), flag("h1-case-adjust-bogus-server", inDBE), flag("http-pretend-keepalive", inDBE),
		flag("http-use-proxy-header", inDFE), flag("idle-close-on-response", inDFE), flag("nolinger", inAll), flag("prefer-last-server", inDBE),
		flag("http-drop-request-trailers", inDBE), flag("http-drop-response-trailers", inDFE),
		o("forwardfor", "[except <net>] [header <name>] [if-none]", inAll, (*parser).optionForwardFor),
		o("http-keep-alive", "", inAll, (*parser).optionHTTPMode),
		o("http-server-close", "", inAll, (*parser).optionHTTPMode),
		o("httpclose", "", inAll, (*parser).optionHTTPMode),
		o("httpchk", "[<method>] [<uri>] [<version>]", inDBE, (*parser).optionHTTPCheck),
		o("httplog", "[clf]", inDFE, (*parser).optionLog),
		o("httpslog", "", inDFE, (*parser).optionLog),
		o("redispatch", "[<interval>]", inDBE, (*parser).optionRedispatch),
		o("ssl-hello-chk", "", inDBE, (*parser).optionSSLHello),
		o("tcp-check", "", inDBE, (*parser).optionTCPCheck),
		o("tcpka", "", inAll, (*parser).optionTCPKA),
		o("tcplog", "[clf]", inDFE, (*parser).optionLog),
		{Name: "forceclose", In: inAll | InOption, State: Refused, Manual: "4.2", hides: true, parse: (*parser).optionGone, Note: "removed from HAProxy in 2.0"},
		{Name: "http-tunnel", In: inAll | InOption, State: Refused, Manual: "4.2", hides: true, parse: (*parser).optionGone, Note: "removed from HAProxy in 2.1"},
		{Name: "http_proxy", In: inAll | InOption, State: Refused, Manual: "4.2", hides: true, parse: (*parser).optionGone, Note: "removed from HAProxy in 2.5"},
	}
	// What the kernel, Go's runtime or our codecs do anyway, or do not have.
	for name, why := range map[string]string{
		"contstats":           "bytes are counted when a request or session ends; a long one shows none before",
		"disable-h2-upgrade":  "there is no HTTP/2 to upgrade to",
		"http-no-delay":       "what is there is sent at once, always",
		"independent-streams": "each direction has a timeout of its own, always",
		"splice-auto":         "tunnels use splice(2) where the kernel can", "splice-request": "as splice-auto", "splice-response": "as splice-auto",
		"tcp-smart-accept": "the kernel decides when it acknowledges", "tcp-smart-connect": "the kernel decides when it acknowledges",
		"use-small-buffers": "an idle connection owns no buffer",
	} {
		list = append(list, Keyword{Name: name, In: inAll | InOption, State: NoEffect, Manual: "4.2", Note: why})
	}
	list = append(list, refused(inAll|InOption, "4.2", "checkcache", "external-check",
		"ldap-check", "mysql-check", "pgsql-check", "redis-check", "smtpchk", "spop-check", "transparent")...)
	slices.SortStableFunc(list, byName)
	return list
}

// timeoutKeywords is the table of `timeout` (manual section 4.2).
func timeoutKeywords() []Keyword {
	t := func(name string, in Place) Keyword {
		return Keyword{Name: name, Args: "<time>", In: in | InTimeout, Manual: "4.2"}
	}
	return []Keyword{t("check", inDBE), t("client", inDFE), t("client-fin", inDFE), t("client-hs", inDFE), t("connect", inDBE),
		t("http-keep-alive", inAll), t("http-request", inAll), t("queue", inDBE), t("server", inDBE), t("server-fin", inDBE),
		t("tarpit", inAll), t("tunnel", inDBE)}
}

// crtStoreKeywords, loadKeywords and acmeKeywords are the certificate sections (manual section 12.7 and 12.8).
func crtStoreKeywords() []Keyword {
	return []Keyword{
		{Name: "crt-base", Args: "<dir>", In: InCrtStore, Manual: "12.7", parse: (*parser).crtStoreBase},
		{Name: "key-base", Args: "<dir>", In: InCrtStore, Manual: "12.7", parse: (*parser).crtStoreBase},
		{Name: "load", Args: "[crt <file>] [<load keyword> ...]", In: InCrtStore, Manual: "12.7", parse: (*parser).crtStoreLoad},
	}
}

func loadKeywords() []Keyword {
	l := func(name, args string) Keyword {
		return Keyword{Name: name, Args: args, args: 1, In: InLoad, Manual: "12.7"}
	}
	list := []Keyword{l("acme", "<acme section>"), l("alias", "<name>"), l("bits", "<number>"), l("crt", "<file>"), l("curves", "<curves>"),
		l("domains", "<name>[,<name>]*"), l("generate-dummy", "on|off"), l("ips", "<ip>[,<ip>]*"), l("issuer", "<file>"), l("jwt", "on|off"), l("key", "<file>"),
		l("keytype", "RSA|ECDSA"), l("ocsp", "<file>"), l("ocsp-update", "on|off"), l("sctl", "<file>")}
	slices.SortStableFunc(list, byName)
	return list
}

func acmeKeywords() []Keyword {
	a := func(name, args string) Keyword {
		return Keyword{Name: name, Args: args, In: InACME, Manual: "12.8", parse: (*parser).acmeLine}
	}
	list := []Keyword{a("account-key", "<file>"), a("bits", "<number>"), a("challenge", "http-01"), a("contact", "<mail address>"), a("curves", "<curve>"),
		a("directory", "<url>"), a("keytype", "RSA|ECDSA"), a("map", "<map>"), a("profile", "<name>"), a("reuse-key", "on|off"),
		{Name: "ca-file", Args: "<file>", In: InACME, own: true, parse: (*parser).acmeLine, Note: "who signed the certificate of the CA's own HTTPS server, for private CAs"}}
	list = append(list, refused(InACME, "12.8", "acme-vars <text>", "challenge-ready <list>", "dns-delay <time>", "dns-timeout <time>", "eab-key-id <file>",
		"eab-mac-alg <name>", "eab-mac-key <file>", "provider-name <text>")...)
	slices.SortStableFunc(list, byName)
	return list
}

// gatehouseKeywords is our own section.
func gatehouseKeywords() []Keyword {
	g := func(name, args, note string, parse func(p *parser, s *statement)) Keyword {
		return Keyword{Name: name, Args: args, In: InGatehouse, own: true, Note: note, parse: parse}
	}
	return []Keyword{
		g("admin-from", "<net>[,<net>]*", "who may use level admin over TCP, besides this machine", (*parser).gatehouseAdminFrom),
		g("http-strict", "on|off", "whether HTTP/1 requests that HAProxy takes and others read differently are refused: HTTP/1.1 without Host, CONNECT, user information in a target; on by default", (*parser).gatehouseHTTPStrict),
		g("persist", "on|off [crt-store <name>]", "whether a committed certificate replaces its file; on by default", (*parser).gatehousePersist),
		g("history", "off|<versions> [<age>]", "how many versions of each certificate are kept to go back to, and for how long; 20 and 400d by default", (*parser).gatehouseHistory),
		g("watch", "on|off", "whether certificates are read again when their files change; on by default", (*parser).gatehouseWatch),
		g("state-dir", "<dir>", "where accounts, orders and history live", (*parser).gatehouseStateDir),
	}
}
