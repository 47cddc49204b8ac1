package engine

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"

	"github.com/cespare/xxhash/v2"

	"gatehouse/internal/backend"
	"gatehouse/internal/config"
	"gatehouse/internal/proxy"
	"gatehouse/internal/rule"
)

// persistence compiles what keeps a backend's clients with their servers; nil when nothing does.
func (b *builder) persistence(p *config.Proxy, servers *backend.Backend, c *rule.Compiler, acls *rule.ACLs) *proxy.Persistence {
	o := &proxy.Persistence{}
	for _, r := range p.PersistRule {
		if cond := c.Cond(r.Words, r.Pos, acls); cond != nil {
			o.Rules = append(o.Rules, proxy.PersistRule{Cond: cond, Force: r.Force})
		}
	}
	for _, r := range p.UseServer {
		u := proxy.UseServer{Cond: c.Cond(r.Words[1:], r.Pos, acls)}
		if name := r.Words[0]; strings.Contains(name, "%") {
			u.Name = c.Text(name, r.Pos)
		} else {
			b.pin(p.Name, name)
			u.Server = servers.Server(name) // config has refused a name that no server has
		}
		if u.Cond != nil && (u.Name != nil || u.Server != nil) {
			o.UseServer = append(o.UseServer, u)
		}
	}
	if ck := p.Cookie; ck != nil && p.Mode == "http" {
		o.Cookie = proxy.NewCookie(proxy.CookieOptions{
			Name: ck.Name, Rewrite: ck.Rewrite, Insert: ck.Insert, Prefix: ck.Prefix,
			Indirect: ck.Indirect, NoCache: ck.NoCache, PostOnly: ck.PostOnly, Preserve: ck.Preserve,
			HTTPOnly: ck.HTTPOnly, Secure: ck.Secure, Domains: ck.Domains, Attrs: ck.Attrs,
			MaxIdle: ck.MaxIdle, MaxLife: ck.MaxLife,
		})
	}
	if len(o.Rules) == 0 && len(o.UseServer) == 0 && o.Cookie == nil {
		return nil
	}
	return o
}

// dynamicCookie is the value that `cookie ... dynamic` gives a server: the same on every machine that shares the key.
func dynamicCookie(key string, ip netip.Addr, port int) string {
	b := append([]byte(key), ip.Unmap().AsSlice()...)
	b = binary.BigEndian.AppendUint32(b, uint32(port))
	return fmt.Sprintf("%016x", xxhash.Sum64(b))
}

// nameServer gives a server without a cookie value of its own the dynamic one.
func nameServer(p *config.Proxy, s *backend.ServerOptions) {
	if p.Cookie == nil || !p.Cookie.Dynamic || p.CookieKey == "" || s.Line.Cookie != "" {
		return
	}
	ip := s.Line.Addr.IP
	if !ip.IsValid() {
		ip = s.IP
	}
	if ip.IsValid() {
		s.Line.Cookie = dynamicCookie(p.CookieKey, ip, s.Line.Addr.Port)
	}
}

// retryOn is what retry-on says of answers; nil when it says nothing of them.
func retryOn(p *config.Proxy) *proxy.RetryOn {
	r := p.RetryOn
	if r == nil || !r.Empty && !r.Junk && !r.Timeout && len(r.Statuses) == 0 {
		return nil
	}
	return &proxy.RetryOn{Empty: r.Empty, Junk: r.Junk, Timeout: r.Timeout, Statuses: r.Statuses}
}

// compression is what the section says of compressing messages; nil when it says nothing.
func (b *builder) compression(p *config.Proxy) *proxy.Compression {
	g := &b.cfg.Global
	c := p.Compression
	if c == nil {
		return nil
	}
	return &proxy.Compression{
		Algos: c.Algos, Types: c.Types, Offload: c.Offload, MinSize: c.MinSize, Level: g.CompLevel,
		Rate:      &b.e.compressed,
		Direction: directions(c.Requests, c.Responses),
		// Without a line of their own there are both filters.
		Filters: directions(p.CompReq || !p.CompRes, p.CompRes || !p.CompReq),
		Request: proxy.RequestCompression{Algo: c.ReqAlgo, Types: c.ReqTypes, MinSize: c.ReqMinSize},
	}
}

func directions(requests, responses bool) (d proxy.Direction) {
	if requests {
		d |= proxy.Requests
	}
	if responses {
		d |= proxy.Responses
	}
	return d
}
