package config

import "slices"

// globalKeywords is the table of the global section (manual section 3).
func globalKeywords() []Keyword {
	g := func(name, args, manual string, parse func(p *parser, s *statement)) Keyword {
		return Keyword{Name: name, Args: args, In: InGlobal, Manual: manual, parse: parse}
	}
	none := func(k Keyword, note string) Keyword {
		k.State, k.Note = NoEffect, note
		return k
	}
	list := []Keyword{
		g("acme.scheduler", "auto|off", "3.1", (*parser).globalScheduler),
		g("ca-base", "<dir>", "3.1", (*parser).globalBase),
		g("chroot", "<dir>", "3.1", (*parser).globalChroot),
		g("crt-base", "<dir>", "3.1", (*parser).globalBase),
		g("daemon", "", "3.1", (*parser).globalDaemon),
		g("description", "<text>", "3.1", (*parser).globalDescription),
		g("expose-experimental-directives", "", "3.1", (*parser).globalExpose),
		g("gid", "<number>", "3.1", (*parser).globalID),
		g("group", "<name>", "3.1", (*parser).globalUser),
		g("hard-stop-after", "<time>", "3.1", (*parser).globalHardStop),
		g("httpclient.ssl.ca-file", "<file>", "3.4", (*parser).globalClientCA),
		g("httpclient.ssl.verify", "none|required", "3.4", (*parser).globalClientVerify),
		g("http-err-codes", "[+-]<low>[-<high>][,...] ...", "3.1", (*parser).globalStatusCodes),
		g("h1-case-adjust", "<from> <to>", "3.1", (*parser).globalHeaderCase),
		g("h1-case-adjust-file", "<file>", "3.1", (*parser).globalHeaderCaseFile),
		g("http-fail-codes", "[+-]<low>[-<high>][,...] ...", "3.1", (*parser).globalStatusCodes),
		g("issuers-chain-path", "<dir>", "3.1", (*parser).globalIssuers),
		g("key-base", "<dir>", "3.1", (*parser).globalBase),
		g("log", "<target> [len <n>] [format <f>] <facility> [<level> [<minlevel>]]", "3.1", (*parser).globalLog),
		g("log-send-hostname", "[<name>]", "3.1", (*parser).globalLogHost),
		g("log-tag", "<text>", "3.1", (*parser).globalLogTag),
		g("master-worker", "[no-exit-on-failure]", "3.1", (*parser).globalMasterWorker),
		g("maxconn", "<number>", "3.2", (*parser).globalMaxConn),
		g("node", "<name>", "3.1", (*parser).globalNode),
		g("ocsp-update.disable", "on|off", "3.1", (*parser).globalOCSPSwitch),
		g("ocsp-update.httpproxy", "<address>[:<port>]", "3.1", (*parser).globalOCSPProxy),
		g("ocsp-update.maxdelay", "<seconds>", "3.1", (*parser).globalOCSPDelay),
		g("ocsp-update.mindelay", "<seconds>", "3.1", (*parser).globalOCSPDelay),
		g("ocsp-update.mode", "on|off", "3.1", (*parser).globalOCSPSwitch),
		g("pidfile", "<file>", "3.1", (*parser).globalPidFile),
		g("presetenv", "<name> <value>", "3.1", (*parser).globalEnv),
		g("resetenv", "[<name> ...]", "3.1", (*parser).globalEnv),
		g("nbthread", "<number>", "3.1", (*parser).globalThreads),
		g("set-var", "<var-name> <expr>", "3.1", (*parser).globalVar),
		g("set-var-fmt", "<var-name> <fmt>", "3.1", (*parser).globalVar),
		g("setenv", "<name> <value>", "3.1", (*parser).globalEnv),
		g("spread-checks", "<0..50>", "3.2", (*parser).globalSpread),
		g("ssl-default-bind-ciphers", "<list>", "3.1", (*parser).globalTLSList),
		g("ssl-default-bind-ciphersuites", "<list>", "3.1", (*parser).globalTLSList),
		g("ssl-default-bind-curves", "<list>", "3.1", (*parser).globalTLSList),
		g("ssl-default-bind-options", "<option> ...", "3.1", (*parser).globalTLSOptions),
		g("ssl-default-server-ciphers", "<list>", "3.1", (*parser).globalTLSList),
		g("ssl-default-server-ciphersuites", "<list>", "3.1", (*parser).globalTLSList),
		g("ssl-default-server-curves", "<list>", "3.1", (*parser).globalTLSList),
		g("ssl-default-server-options", "<option> ...", "3.1", (*parser).globalTLSOptions),
		g("ssl-load-extra-del-ext", "", "3.1", (*parser).globalDelExt),
		g("ssl-load-extra-files", "none|all|bundle|sctl|ocsp|issuer|key ...", "3.1", (*parser).globalExtraFiles),
		g("ssl-passphrase-cmd", "<program> [<argument> ...]", "3.1", (*parser).globalPassphrase),
		g("ssl-server-verify", "none|required", "3.1", (*parser).globalServerVerify),
		g("ssl-skip-self-issued-ca", "", "3.1", (*parser).globalSkipSelfIssued),
		g("server-state-base", "<directory>", "3.1", (*parser).globalServerState),
		g("server-state-file", "<file>", "3.1", (*parser).globalServerState),
		g("stats", "socket <addr> [<bind keyword> ...] | timeout <time> | maxconn <n>", "3.1", (*parser).globalStats),
		g("tune.bufsize", "<bytes>", "3.2", (*parser).globalNumber),
		g("tune.cli.max-payload-size", "<size>", "3.2", (*parser).globalPayload),
		g("tune.http.logurilen", "<bytes>", "3.2", (*parser).globalNumber),
		g("maxconnrate", "<number>", "3.2", (*parser).globalRate),
		g("maxsessrate", "<number>", "3.2", (*parser).globalRate),
		g("maxsslrate", "<number>", "3.2", (*parser).globalRate),
		g("maxcomprate", "<kilobytes>", "3.2", (*parser).globalCompRate),
		g("tune.comp.maxlevel", "<1..9>", "3.2", (*parser).globalCompLevel),
		g("tune.http.maxhdr", "<1..32767>", "3.2", (*parser).globalNumber),
		g("tune.maxrewrite", "<bytes>", "3.2", (*parser).globalNumber),
		g("tune.ssl.cachesize", "<number>", "3.2", (*parser).globalNumber),
		g("tune.ssl.capture-buffer-size", "<bytes>", "3.2", (*parser).globalNumber),
		g("tune.ssl.capture-cipherlist-size", "<bytes>", "3.2", (*parser).globalNumber),
		g("tune.ssl.lifetime", "<time>", "3.2", (*parser).globalLifetime),
		g("tune.ssl.ocsp-update.maxdelay", "<seconds>", "3.1", (*parser).globalOCSPDelay),
		g("tune.ssl.ocsp-update.mindelay", "<seconds>", "3.1", (*parser).globalOCSPDelay),
		g("tune.ssl.ssl-ctx-cache-size", "<number>", "3.2", (*parser).globalNumber),
		g("tune.stick-counters", "<number>", "3.2", (*parser).globalStickCounters),
		g("uid", "<number>", "3.1", (*parser).globalID),
		g("unsetenv", "<name> ...", "3.1", (*parser).globalEnv),
		g("user", "<name>", "3.1", (*parser).globalUser),
		g("zero-warning", "", "3.3", (*parser).globalZeroWarning),

		none(g("nbproc", "1", "3.1", (*parser).globalNbproc), "only 1, as in HAProxy since 2.5"),
		none(g("tune.ssl.default-dh-param", "<bits>", "3.2", (*parser).globalDHParam), "crypto/tls has no finite-field DH"),
	}
	list = append(list, noEffect(InGlobal, "3.1",
		"close-spread-time <time>", "cpu-affinity", "cpu-map", "cpu-policy", "cpu-set", "dns-accept-family", "expose-deprecated-directives",
		"grace <time>", "harden.reject-privileged-ports.quic", "harden.reject-privileged-ports.tcp",
		"insecure-fork-wanted", "insecure-setuid-wanted", "limited-quic", "localpeer <name>", "max-threads-per-group <n>", "mworker-max-reloads <n>",
		"numa-cpu-mapping", "pp2-never-send-local", "prealloc-fd", "set-dumpable", "shm-stats-file <file>", "shm-stats-file-max-objects <n>",
		"ssl-default-bind-client-sigalgs <list>", "ssl-default-bind-sigalgs <list>", "ssl-default-server-client-sigalgs <list>",
		"ssl-default-server-sigalgs <list>", "ssl-dh-param-file <file>", "ssl-security-level <n>", "stress-level <n>", "strict-limits",
		"thread-group", "thread-groups <n>", "thread-hard-limit <n>", "ulimit-n <n>")...)
	list = append(list, noEffect(InGlobal, "3.2",
		"busy-polling", "ssl-mode-async", "max-spread-checks <time>", "maxpipes <n>", "no-memory-trimming", "noepoll", "noevports", "nogetaddrinfo", "nokqueue", "noktls",
		"nopoll", "noreuseport", "nosplice", "profiling.tasks",
		"tune.applet.zero-copy-forwarding", "tune.buffers.limit", "tune.buffers.reserve", "tune.bufsize.large", "tune.bufsize.small", "tune.chksize",
		"tune.defaults.purge", "tune.disable-fast-forward", "tune.disable-zero-copy-forwarding", "tune.epoll.mask-events",
		"tune.events.max-events-at-once", "tune.fail-alloc", "tune.fd.edge-triggered", "tune.glitches.kill.cpu-usage",
		"tune.h1.be.glitches-threshold", "tune.h1.fe.glitches-threshold", "tune.h1.zero-copy-fwd-recv", "tune.h1.zero-copy-fwd-send",
		"tune.h2.be.glitches-threshold", "tune.h2.be.initial-window-size", "tune.h2.be.max-concurrent-streams", "tune.h2.be.max-frames-at-once",
		"tune.h2.be.rxbuf", "tune.h2.fe.glitches-threshold", "tune.h2.fe.initial-window-size", "tune.h2.fe.max-concurrent-streams",
		"tune.h2.fe.max-frames-at-once", "tune.h2.fe.max-rst-at-once", "tune.h2.fe.max-total-streams", "tune.h2.fe.rxbuf",
		"tune.h2.header-table-size", "tune.h2.initial-window-size", "tune.h2.log-errors", "tune.h2.max-concurrent-streams", "tune.h2.max-frame-size",
		"tune.h2.zero-copy-fwd-send", "tune.http.cookielen", "tune.idle-pool.shared", "tune.idletimer", "tune.listener.default-shards",
		"tune.listener.multi-queue", "tune.max-checks-per-thread", "tune.max-rules-at-once", "tune.maxaccept", "tune.maxpollevents",
		"tune.memory.hot-size", "tune.notsent-lowat.client", "tune.notsent-lowat.server", "tune.pattern.cache-size", "tune.peers.max-updates-at-once",
		"tune.pipesize", "tune.pool-high-fd-ratio", "tune.pool-low-fd-ratio", "tune.pt.zero-copy-forwarding", "tune.rcvbuf.backend",
		"tune.rcvbuf.client", "tune.rcvbuf.frontend", "tune.rcvbuf.server", "tune.recv_enough", "tune.renice.runtime", "tune.renice.startup",
		"tune.ring.queues", "tune.runqueue-depth", "tune.sched.low-latency", "tune.sndbuf.backend", "tune.sndbuf.client", "tune.sndbuf.frontend",
		"tune.sndbuf.server", "tune.ssl.force-private-cache",
		"tune.ssl.hard-maxrecord", "tune.ssl.maxrecord", "tune.streams-elasticity",
		"tune.takeover-other-tg-connections", "tune.vars.check-max-size", "tune.vars.global-max-size", "tune.vars.proc-max-size",
		"tune.vars.reqres-max-size", "tune.vars.sess-max-size", "tune.vars.txn-max-size", "tune.zlib.memlevel", "tune.zlib.windowsize")...)
	list = append(list, noEffect(InGlobal, "3.3", "force-cfg-parser-pause <time>", "quiet", "warn-blocked-traffic-after <time>")...)
	list = append(list, refused(InGlobal, "3.1",
		"cluster-secret <text>", "default-path", "external-check", "h1-accept-payload-with-any-method",
		"h1-do-not-close-on-insecure-transfer-encoding",
		"jwt.decrypt_alg_list", "jwt.decrypt_enc_list", "setcap", "ssl-propquery", "ssl-provider", "ssl-provider-path", "stats-file <file>", "unix-bind")...)
	list = append(list, refused(InGlobal, "3.4",
		"httpclient.resolvers.disabled", "httpclient.resolvers.id", "httpclient.resolvers.prefer", "httpclient.retries", "httpclient.timeout.connect")...)
	list = append(list, refused(InGlobal, "3.2",
		"ssl-engine", "maxsslconn <n>",
		"tune.ssl.certificate-compression", "tune.ssl.keylog")...)
	list = append(list, noted(noEffect(InGlobal, "3.2", "maxcompcpuusage <n>")[0], "Go's runtime does not tell how idle it is"),
		noted(noEffect(InGlobal, "3.2", "maxzlibmem <n>")[0], "Go's compressors take a fixed room each; those not in use are given back when memory is short"))
	list = append(list, hidden(globalOptional())...)
	slices.SortStableFunc(list, byName)
	return list
}

// globalOptional are keywords that HAProxy knows but never suggests, most of them because they depend on how it was built.
func globalOptional() []Keyword {
	list := noEffect(InGlobal, "3.1", "fd-hard-limit <n>")
	list = append(list, noEffect(InGlobal, "3.3", "anonkey <n>", "debug.counters", "quick-exit")...)
	// There is no QUIC here; its settings cannot change anything.
	list = append(list, noEffect(InGlobal, "3.2", "profiling.memory",
		"tune.quic.be.cc.cubic-min-losses", "tune.quic.be.cc.hystart", "tune.quic.be.cc.max-frame-loss", "tune.quic.be.cc.max-win-size",
		"tune.quic.be.cc.reorder-ratio", "tune.quic.be.max-idle-timeout", "tune.quic.be.sec.glitches-threshold", "tune.quic.be.stream.data-ratio",
		"tune.quic.be.stream.max-concurrent", "tune.quic.be.stream.rxbuf", "tune.quic.be.tx.pacing", "tune.quic.be.tx.udp-gso", "tune.quic.cc-hystart",
		"tune.quic.cc.cubic.min-losses", "tune.quic.disable-tx-pacing", "tune.quic.disable-udp-gso", "tune.quic.fe.cc.cubic-min-losses",
		"tune.quic.fe.cc.hystart", "tune.quic.fe.cc.max-frame-loss", "tune.quic.fe.cc.max-win-size", "tune.quic.fe.cc.reorder-ratio",
		"tune.quic.fe.max-idle-timeout", "tune.quic.fe.sec.glitches-threshold", "tune.quic.fe.sec.retry-threshold", "tune.quic.fe.sock-per-conn",
		"tune.quic.fe.stream.data-ratio", "tune.quic.fe.stream.max-concurrent", "tune.quic.fe.stream.max-total", "tune.quic.fe.stream.rxbuf",
		"tune.quic.fe.tx.pacing", "tune.quic.fe.tx.udp-gso", "tune.quic.frontend.default-max-window-size", "tune.quic.frontend.glitches-threshold",
		"tune.quic.frontend.max-data-size", "tune.quic.frontend.max-idle-timeout", "tune.quic.frontend.max-streams-bidi", "tune.quic.frontend.max-tx-mem",
		"tune.quic.frontend.stream-data-ratio", "tune.quic.listen", "tune.quic.max-frame-loss", "tune.quic.mem.tx-max", "tune.quic.reorder-ratio",
		"tune.quic.retry-threshold", "tune.quic.socket-owner", "tune.quic.zero-copy-fwd-send")...)
	list = append(list, refused(InGlobal, "3.1", "h2-workaround-bogus-websocket-clients", "lua-load", "lua-load-per-thread", "lua-prepend-path",
		"51degrees-allow-unmatched", "51degrees-cache-size", "51degrees-data-file", "51degrees-difference", "51degrees-drift",
		"51degrees-performance-profile", "51degrees-property-name-list", "51degrees-property-separator", "51degrees-use-performance-graph",
		"51degrees-use-predictive-graph", "deviceatlas-json-file", "deviceatlas-log-level", "deviceatlas-properties-cookie", "deviceatlas-separator",
		"wurfl-cache-size", "wurfl-data-file", "wurfl-information-list", "wurfl-information-list-separator", "wurfl-patch-file")...)
	return append(list, refused(InGlobal, "3.2", "tune.lua.bool-sample-conversion", "tune.lua.burst-timeout", "tune.lua.forced-yield",
		"tune.lua.log.loggers", "tune.lua.log.stderr", "tune.lua.maxmem", "tune.lua.openlibs", "tune.lua.service-timeout", "tune.lua.session-timeout",
		"tune.lua.task-timeout")...)
}

func byName(a, b Keyword) int {
	switch {
	case a.Name < b.Name:
		return -1
	case a.Name > b.Name:
		return 1
	}
	return 0
}
