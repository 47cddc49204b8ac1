package engine

import (
	"gatehouse/internal/config"
	"gatehouse/internal/proxy"
	"gatehouse/internal/rule"
	"gatehouse/internal/stream"
)

// captures sets what a frontend keeps of its requests: the slots that its lines and the rules that c compiled declare, a cookie, and
// the identifier it gives them. c has compiled all sets of the frontend.
func (b *builder) captures(o *proxy.FrontendOptions, p *config.Proxy, c *rule.Compiler) {
	o.Captures = c.CaptureSlots()
	if p.CaptureCookie != nil {
		if o.Captures == nil {
			o.Captures = new(stream.CaptureSlots)
		}
		o.Captures.Cookie, o.Captures.CookieLen = p.CaptureCookie.Name, p.CaptureCookie.Len
	}
	if p.UniqueIDFormat != nil {
		o.UniqueID = c.UniqueIDFormat(p.UniqueIDFormat.Text, p.UniqueIDFormat.Pos)
		o.UniqueIDHeader = p.UniqueIDHeader
	}
}
