package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
)

const (
	edgeRules  = "127.0.0.1:18445"
	rulesLog   = "127.0.0.1:18514"
	ruleList   = 10_000
	rulesFront = `frontend rules
    bind 127.0.0.1:18445
    log 127.0.0.1:18514 local0
    log-format "%%ci:%%cp [%%tr] %%ft %%b/%%s %%TR/%%Tw/%%Tc/%%Tr/%%Ta %%ST %%B %%ts %%{+Q}r %%[var(txn.kind)] %%[var(txn.host)]"
    acl blocked path -f %s/paths.lst
    acl is_api path_beg /api/ /v1/ /v2/
    acl is_get method GET HEAD
    acl internal src 10.0.0.0/8 192.168.0.0/16
    acl known_host hdr(host),lower bench.test www.bench.test
    http-request deny if blocked
    http-request set-var(txn.host) req.hdr(host),lower
    http-request set-var(txn.kind) str(api) if is_api
    http-request set-header x-forwarded-proto http
    http-request set-header x-host %%[var(txn.host)]
    http-request del-header x-internal unless internal
    http-request redirect location /login if { path /secret } !internal
    http-request replace-path ^/old/(.*) /new/\1 if { path_beg /old/ }
    http-request deny deny_status 405 unless is_get or is_api
    http-response set-header strict-transport-security max-age=31536000 if known_host
    use_backend app if known_host
    default_backend app
`
)

// writeRuleList writes the 10,000 paths that the rules frontend blocks; the benchmark asks for none of them.
func (b *bench) writeRuleList() error {
	var s strings.Builder
	for i := range ruleList {
		fmt.Fprintf(&s, "/blocked/%d/page.html\n", i*7919)
	}
	return os.WriteFile(filepath.Join(b.dir, "paths.lst"), []byte(s.String()), 0o600)
}

// cpuPerRuledRequest: microseconds of edge CPU per keep-alive request in clear that passes ten rules, five ACLs and a custom log
// line sent as a datagram.
func cpuPerRuledRequest(ctx context.Context, b *bench, p program) (float64, error) {
	log, err := net.ListenPacket("udp4", rulesLog)
	if err != nil {
		return 0, err
	}
	defer log.Close()
	go func() {
		buf := make([]byte, 4096)
		for {
			if _, _, err := log.ReadFrom(buf); err != nil {
				return
			}
		}
	}()
	e, err := b.start(ctx, p, b.crt(), "")
	if err != nil {
		return 0, err
	}
	defer e.stop()
	ask := func(n int) error {
		return parallel(clients, n/clients, func(count int) error {
			c, err := net.Dial("tcp", edgeRules)
			if err != nil {
				return err
			}
			defer c.Close()
			r := bufio.NewReader(c)
			for range count {
				if err := request(c, r); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := ask(clients * 200); err != nil {
		return 0, err
	}
	return perUnit(e, requestsPerRound, func() error { return ask(requestsPerRound) })
}
