package config

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

const edgeDefaults = `global
	stats socket /run/haproxy/admin.sock mode 660 level admin expose-fd listeners
	stats socket ipv4@127.0.0.1:9999 level user
	stats timeout 30s
	user haproxy
	group haproxy
	chroot /var/lib/haproxy
	daemon
	log /dev/log local0
	log 127.0.0.1:5140 len 4096 format rfc5424 local1 notice err
	ca-base /etc/ssl/certs
	crt-base /etc/ssl/private
	key-base /etc/ssl/keys
	ssl-default-bind-options ssl-min-ver TLSv1.2 no-tls-tickets
	ssl-default-bind-ciphersuites TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384
	tune.ssl.lifetime 10m
	hard-stop-after 30s
	maxconn 5000
defaults
	log global
	mode http
	option httplog
	option dontlognull
	timeout connect 5s
	timeout client 50s
	timeout server 50000
	errorfile 503 /etc/haproxy/errors/503.http
`

// edge is what an edge needs from its configuration, by kind. check looks at the values that matter.
var edges = []struct {
	name, text string
	check      func(t *testing.T, c *Config)
}{
	{"termination", edgeDefaults + `frontend www
	bind :80
	bind :443,[::]:443 v6only ssl crt site.pem crt /etc/ssl/sites/ crt-list list.txt alpn h2,http/1.1 strict-sni name tls
	option forwardfor except 127.0.0.0/8 if-none
	http-request set-header X-Forwarded-Proto https if { ssl_fc }
	acl static path_beg /static /img
	use_backend media if static
	default_backend app
backend app
	balance roundrobin
	option httpchk GET /health
	http-check expect status 200-299
	default-server check inter 3s fall 2 maxconn 100
	server a 10.0.0.1:8080 weight 10
	server b 10.0.0.2:8080 backup slowstart 30s
backend media
	server m app.example:8443 ssl verify required ca-file ca.pem sni req.hdr(host) send-proxy-v2
`, checkTermination},
	{"redirect", edgeDefaults + `frontend plain
	bind :80
	http-request set-header X-A b
	redirect scheme https code 301 unless { ssl_fc }
`, func(t *testing.T, c *Config) {
		f := proxy(t, c, "plain")
		if len(f.HTTPRequest) != 2 || f.HTTPRequest[1].Words[0] != "redirect" || f.HTTPRequest[0].Words[0] != "set-header" || !f.HTTPRequest[1].Apart || f.HTTPRequest[0].Apart {
			t.Errorf("redirect does not run after http-request: %v", f.HTTPRequest)
		}
	}},
	{"pass-through", edgeDefaults + `listen tls
	mode tcp
	option tcplog
	bind :8443
	timeout tunnel 1h
	server a 10.0.0.1:443 check ssl verify none
	server b 10.0.0.2
`, func(t *testing.T, c *Config) {
		l := proxy(t, c, "tls")
		if l.Mode != "tcp" || !l.TCPLog || l.HTTPLog || l.TimeoutTunnel != time.Hour || len(l.Servers) != 2 || !l.Servers[1].Addr.NoPort ||
			l.Servers[0].Verify != "none" {
			t.Errorf("got %+v", l)
		}
	}},
	{"stateless ACME", edgeDefaults + `frontend http
	bind :80
	http-request return status 200 content-type text/plain lf-string "%[path,field(-1,/)].thumb\n" if { path_beg '/.well-known/acme-challenge/' }
	http-request redirect scheme https
`, func(t *testing.T, c *Config) {
		w := proxy(t, c, "http").HTTPRequest[0].Words
		want := []string{"return", "status", "200", "content-type", "text/plain", "lf-string", "%[path,field(-1,/)].thumb\n", "if", "{", "path_beg",
			"/.well-known/acme-challenge/", "}"}
		if !slices.Equal(w, want) {
			t.Errorf("got %q\nwant %q", w, want)
		}
	}},
	{"relayed ACME", edgeDefaults + `frontend http
	bind :80
	acl acme path_beg /.well-known/acme-challenge/
	use_backend certbot if acme
	use_backend %[req.hdr(host),lower] if { hdr(host) -m found }
backend certbot
	server local 127.0.0.1:8888
`, func(t *testing.T, c *Config) {
		f := proxy(t, c, "http")
		if len(f.UseBackend) != 2 || f.UseBackend[0].Words[0] != "certbot" || f.ACLs[0].Name != "acme" || f.ACLs[0].Words[0] != "path_beg" {
			t.Errorf("got %v %v", f.UseBackend, f.ACLs)
		}
	}},
	{"acme section and crt-store", "global\n\texpose-experimental-directives\n\tacme.scheduler auto\n" + edgeDefaults + `acme le
	directory https://acme.example/directory
	contact admin@example.org
	account-key le.key
	challenge HTTP-01
	keytype ECDSA
	curves P-256
	reuse-key on
	map virt@acme
	ca-file private.pem
crt-store web
	crt-base /srv/certs
	load crt www.pem acme le domains www.example.org,example.org alias www
	load crt ip.pem acme le ips 192.0.2.1 keytype RSA bits 2048
crt-store
	load crt plain.pem key plain.key
gatehouse
	state-dir /var/lib/gatehouse
	persist off crt-store web
	admin-from 10.0.0.0/8,2001:db8::/32
frontend www
	bind :443 ssl crt @web/www strict-sni
	bind :444 ssl acme le domains a.example,b.example
	ssl-f-use crt other.pem acme le domains c.example alpn h2 ssl-min-ver TLSv1.3
`, checkACME},
	{"Debian", `global
	log /dev/log	local0
	log /dev/log	local1 notice
	chroot /var/lib/haproxy
	stats socket /run/haproxy/admin.sock mode 660 level admin
	stats timeout 30s
	user haproxy
	group haproxy
	daemon

	# Default SSL material locations
	ca-base /etc/ssl/certs
	crt-base /etc/ssl/private

        ssl-default-bind-ciphers ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256
        ssl-default-bind-ciphersuites TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256
        ssl-default-bind-options ssl-min-ver TLSv1.2 no-tls-tickets

defaults
	log	global
	mode	http
	option	httplog
	option	dontlognull
        timeout connect 5000
        timeout client  50000
        timeout server  50000
	errorfile 400 /etc/haproxy/errors/400.http
	errorfile 504 /etc/haproxy/errors/504.http
`, func(t *testing.T, c *Config) {
		g := c.Global
		if !g.Daemon || g.User != "haproxy" || g.Chroot != "/var/lib/haproxy" || len(g.Logs) != 2 || g.Logs[1].Level != "notice" ||
			len(g.DefaultBindOptions) != 2 || len(c.Proxies) != 0 {
			t.Errorf("got %+v", g)
		}
	}},
}

func proxy(t *testing.T, c *Config, name string) *Proxy {
	t.Helper()
	for _, p := range c.Proxies {
		if p.Name == name {
			return p
		}
	}
	t.Fatalf("no proxy %q", name)
	return nil
}

func TestConfigurationsOfATLSEdge(t *testing.T) {
	for _, e := range edges {
		t.Run(e.name, func(t *testing.T) {
			c, diags := parseText(e.text)
			if diags.HasErrors() || diags.HasWarnings() {
				t.Fatalf("a clean configuration was not: %s", printDiags(diags))
			}
			e.check(t, c)
		})
	}
}

func checkTermination(t *testing.T, c *Config) {
	g := c.Global
	if len(g.StatsSockets) != 2 || g.StatsSockets[0].Level != "admin" || !g.StatsSockets[0].ExposeFD || *g.StatsSockets[0].Mode != 0o660 ||
		g.StatsSockets[1].Level != "user" || g.StatsTimeout != 30*time.Second || g.SSLLifetime != 10*time.Minute {
		t.Errorf("global: %+v", g)
	}
	f := proxy(t, c, "www")
	b := f.Binds[1]
	if len(f.Binds) != 2 || !b.SSL || len(b.Addrs) != 2 || b.Addrs[1].Family != 6 || !b.V6Only || !b.StrictSNI || b.Name != "tls" {
		t.Errorf("bind: %+v", b)
	}
	var kinds []string
	for _, u := range b.Crts {
		kinds = append(kinds, u.Kind+" "+u.Path)
	}
	if got := strings.Join(kinds, ", "); got != "crt site.pem, crt /etc/ssl/sites/, crt-list list.txt" {
		t.Errorf("certificates: %s", got)
	}
	if len(b.TLS) != 1 || b.TLS[0].Name != "alpn" || b.TLS[0].Args[0] != "h2,http/1.1" {
		t.Errorf("TLS: %v", b.TLS)
	}
	if len(f.Logs) != 2 || f.Logs[1].Len != 4096 || f.Logs[1].MinLevel != "err" || !f.HTTPLog || !f.DontLogNull || f.TimeoutClient != 50*time.Second {
		t.Errorf("inherited: %+v", f)
	}
	if f.ForwardFor == nil || f.ForwardFor.Except.String() != "127.0.0.0/8" || !f.ForwardFor.IfNone {
		t.Errorf("forwardfor: %+v", f.ForwardFor)
	}
	a := proxy(t, c, "app")
	if a.HTTPCheck == nil || a.HTTPCheck.Method != "GET" || a.HTTPCheck.URI != "/health" || !slices.Equal(a.HTTPCheck.Expect, []string{"status", "200-299"}) {
		t.Errorf("check: %+v", a.HTTPCheck)
	}
	s := a.Servers[1]
	if !s.Check || s.Inter != 3*time.Second || s.Fall != 2 || s.Rise != 2 || s.MaxConn != 100 || !s.Backup || s.Weight != 1 || a.Servers[0].Weight != 10 {
		t.Errorf("server: %+v", s)
	}
	m := proxy(t, c, "media").Servers[0]
	if !m.SSL || m.Addr.Host != "app.example" || m.CAFile != "ca.pem" || m.SNI != "req.hdr(host)" || m.SendProxy != 2 {
		t.Errorf("server: %+v", m)
	}
}

func checkACME(t *testing.T, c *Config) {
	a := c.ACMEs[0]
	if a.Name != "le" || a.Directory != "https://acme.example/directory" || a.Challenge != "http-01" || !a.ReuseKey || a.CAFile != "private.pem" ||
		a.Map != "virt@acme" || a.Curves != "P-256" || !c.Global.ACMEScheduler {
		t.Errorf("acme: %+v", a)
	}
	w := c.CrtStores[0]
	if w.Name != "web" || w.CrtBase != "/srv/certs" || w.KeyBase != "/etc/ssl/keys" || len(w.Loads) != 2 || w.Loads[0].Alias != "www" {
		t.Errorf("crt-store: %+v", w)
	}
	if got := fmt.Sprint(w.Loads[1].Settings[0].Name, w.Loads[1].Settings[1].Args); got != "acme[192.0.2.1]" {
		t.Errorf("load: %s", got)
	}
	if c.CrtStores[1].CrtBase != "/etc/ssl/private" {
		t.Errorf("unnamed crt-store: %+v", c.CrtStores[1])
	}
	g := c.Gatehouse
	if g.StateDir != "/var/lib/gatehouse" || g.PersistBy["web"] || len(g.AdminFrom) != 2 || g.Persist != nil {
		t.Errorf("gatehouse: %+v", g)
	}
	f := proxy(t, c, "www")
	if f.Binds[1].ACME != "le" || !slices.Equal(f.Binds[1].Domains, []string{"a.example", "b.example"}) {
		t.Errorf("bind acme: %+v", f.Binds[1])
	}
	u := f.SSLFUse[0]
	if u.Path != "other.pem" || len(u.Load) != 4 || u.Load[3].Name != "ssl-min-ver" {
		t.Errorf("ssl-f-use: %+v", u)
	}
}
