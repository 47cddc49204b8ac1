package proxy

import (
	"bytes"
	"strings"
	"time"

	"gatehouse/internal/backend"
	"gatehouse/internal/stream"
)

// Cookie is the persistence cookie of a backend: the server of a client's first request gives it a name that the client
// brings back (manual section 4.2, "cookie"). NewCookie makes it.
type Cookie struct {
	o      CookieOptions
	suffix string // of what we insert, from the domain on
}

// CookieOptions are the words of a `cookie` line. Of Rewrite, Insert and Prefix at most one is set.
type CookieOptions struct {
	Name                                  string
	Rewrite, Insert, Prefix               bool
	Indirect, NoCache, PostOnly, Preserve bool
	HTTPOnly, Secure                      bool
	Domains, Attrs                        []string
	MaxIdle, MaxLife                      time.Duration // 0: none
}

// NewCookie makes the cookie of a backend, whose servers have their own values on their lines.
func NewCookie(o CookieOptions) *Cookie {
	c := &Cookie{o: o}
	if len(o.Domains) > 0 {
		c.suffix += "; domain=" + strings.Join(o.Domains, "; domain=")
	}
	if o.HTTPOnly {
		c.suffix += "; HttpOnly"
	}
	if o.Secure {
		c.suffix += "; Secure"
	}
	if len(o.Attrs) > 0 {
		c.suffix += "; " + strings.Join(o.Attrs, "; ")
	}
	return c
}

// active is false for a cookie that is only read, about which the log says nothing.
func (c *Cookie) active() bool {
	return c.o.Rewrite || c.o.Insert || c.o.Prefix || c.o.Indirect
}

// hideFromServer says that the server is not to see the cookie.
func (c *Cookie) hideFromServer() bool { return c.o.Insert && c.o.Indirect }

// The delimiters of a cookie's value: NAME=SERVER|LAST|FIRST, or with prefix NAME=SERVER~VALUE.
const (
	dateMark   = '|'
	prefixMark = '~'
)

// read finds the server in the request's Cookie lines and takes out of them what the server must not see.
func (c *Cookie) read(x *exchange) {
	fields := x.s.Req.Fields
	kept := fields[:0]
	for i := range fields {
		f := &fields[i]
		if string(f.Name) == "cookie" {
			value, keep := c.readLine(x, f.Value)
			if !keep {
				continue
			}
			kept = append(kept, stream.Field{Name: f.Name, Value: value})
			continue
		}
		kept = append(kept, *f)
	}
	x.s.Req.Fields = kept
}

// readLine reads one Cookie line and returns what is left of it. The line is copied, since rules may have made it of bytes that
// others share. Attributes beginning with "$" (RFC 2109) go with the cookie before them.
func (c *Cookie) readLine(x *exchange, value []byte) (line []byte, keep bool) {
	line = x.s.Scratch(value)
	cut := -1 // from where cookies are to be taken out
	others := false
	for at, first := 0, true; at < len(line); first = false {
		p := pairAt(line, at, first, true)
		switch {
		case p.name < len(line) && line[p.name] == '$':
			at = p.next
			continue
		case p.equal == p.next: // no cookie, but not ours either
			others = true
			line, at, cut = dropCookies(line, cut, p.start, p.next)
			continue
		}
		line = p.close(line)
		if string(line[p.name:p.nameEnd]) != c.o.Name {
			others = true
			line, at, cut = dropCookies(line, cut, p.start, p.next)
			continue
		}
		id := c.identity(x, line[p.value:p.valueEnd])
		c.find(x, line[p.value:p.value+id])
		switch {
		case c.o.Prefix && p.value+id != p.valueEnd:
			n := id + 1
			line = append(line[:p.value], line[p.value+n:]...)
			p.next -= n
			cut, others = -1, true
		case cut < 0 && c.hideFromServer():
			cut = p.start
		}
		at = p.next
	}
	if cut >= 0 {
		if !others {
			return nil, false
		}
		line = line[:cut]
	}
	return line, len(line) > 0 || len(value) == 0
}

// dropCookies takes line[cut:start] out, unless cut is -1, so that one delimiter remains, and says where to go on.
func dropCookies(line []byte, cut, start, next int) (rest []byte, at, newCut int) {
	if cut < 0 {
		return line, next, -1
	}
	to, from := cut, start
	if to == 0 { // the first one goes with the delimiter behind it
		if from < len(line) {
			from++
		}
		for from < len(line) && isBlank(line[from]) {
			from++
		}
	} else {
		for to > 0 && isBlank(line[to-1]) {
			to--
		}
		if from < len(line) {
			line[to] = line[from]
			to++
			from++
			if to+1 < from {
				line[to] = ' '
				to++
			}
			for from < len(line) && isBlank(line[from]) {
				from++
			}
		}
	}
	gone := from - to
	return append(line[:to], line[from:]...), next - gone, -1
}

// identity returns how many bytes of a cookie's value name the server, 0 when dates in it say that it is too old, and notes
// the dates.
func (c *Cookie) identity(x *exchange, value []byte) int {
	if c.o.Prefix {
		if i := bytes.IndexByte(value, prefixMark); i >= 0 {
			return i
		}
		return len(value)
	}
	id := len(value)
	if i := bytes.IndexByte(value, dateMark); i >= 0 {
		id = i
		dates := value[i+1:]
		if d := date(dates); d > 0 {
			x.to.last = d
		}
		if j := bytes.IndexByte(dates, dateMark); j >= 0 {
			if d := date(dates[j+1:]); d > 0 {
				x.to.first = d
			}
		}
	}
	now := time.Now().Unix()
	switch {
	case expired(now, x.to.first, c.o.MaxLife):
		x.s.Log.TermCookie[0] = 'O'
	case expired(now, x.to.last, c.o.MaxIdle):
		x.s.Log.TermCookie[0] = 'E'
	default:
		return id
	}
	x.to.first, x.to.last = 0, 0
	return 0
}

// expired holds a date against a limit. One that lies more than a day ahead is as bad as one too old.
func expired(now, date int64, limit time.Duration) bool {
	return date != 0 && limit != 0 && (now-date > int64(limit/time.Second) || date-now > 24*60*60)
}

// find chooses the server that the cookie names, if the request does not belong to one yet.
func (c *Cookie) find(x *exchange, id []byte) {
	letter := &x.s.Log.TermCookie[0]
	if !c.active() {
		letter = new(byte) // the log says nothing about a cookie that is only read
	}
	settled := x.to.ignore || x.to.server != nil
	if len(id) > 0 && !settled {
		for _, srv := range x.b.o.Servers.ByCookie(id) {
			if x.b.o.Servers.Persists(srv, x.to.force) {
				x.to.server = srv
				*letter = 'D'
				if srv.Alive() {
					*letter = 'V'
				}
				return
			}
			*letter = 'D'
		}
	}
	switch {
	case *letter != 'N': // the first thing found stays
	case settled:
		*letter = 'U'
	default:
		*letter = 'I'
	}
}

// write changes the server's own cookie of that name, or sets ours, in the response of srv. The http-response rules have run,
// the http-after-response rules have not.
func (c *Cookie) write(x *exchange, srv *backend.Server) {
	s := &x.s
	own := srv.Line().Cookie
	found := c.changeServers(x, own)
	if !c.o.Insert || x.to.ignore || c.o.Preserve && found || c.o.PostOnly && string(s.Received()) != "POST" || !c.mustTell(x) {
		return
	}
	addField(s, "set-cookie", c.setCookie(x, own))
	s.Log.TermCookie[1] = 'I'
	if own != "" && x.direct() {
		s.Log.TermCookie[1] = 'U'
	}
	if c.o.NoCache && cacheable(s) {
		addField(s, "cache-control", s.ScratchString("private"))
	}
}

// mustTell reports whether the client has to be told: its server is another one, or a date in its cookie has to change.
func (c *Cookie) mustTell(x *exchange) bool {
	last, first := x.to.last, x.to.first
	return !x.direct() ||
		(c.o.MaxIdle > 0 || last != 0) && (last == 0 || last < time.Now().Unix()) ||
		c.o.MaxLife > 0 && first == 0 ||
		c.o.MaxLife == 0 && first != 0
}

// setCookie makes the value of Set-Cookie. A server without a value of its own takes the client's cookie away.
func (c *Cookie) setCookie(x *exchange, own string) []byte {
	return x.s.Build(func(b []byte) []byte {
		b = append(b, c.o.Name...)
		if own == "" {
			b = append(b, "=; Expires=Thu, 01-Jan-1970 00:00:01 GMT; path=/"...)
			return append(b, c.suffix...)
		}
		b = append(b, '=')
		b = append(b, own...)
		if c.o.MaxIdle > 0 || c.o.MaxLife > 0 {
			now := (time.Now().Unix() + 3) >> 2
			b = appendDate(b, now)
			if c.o.MaxLife > 0 {
				first := now
				if x.to.first != 0 {
					first = x.to.first >> 2
				}
				b = appendDate(b, first)
			}
		}
		b = append(b, "; path=/"...)
		return append(b, c.suffix...)
	})
}

// changeServers treats the Set-Cookie lines of the server that carry the cookie's name, and reports whether one was left as it
// was.
func (c *Cookie) changeServers(x *exchange, own string) (found bool) {
	s := &x.s
	letter := &s.Log.TermCookie[1]
	if !c.active() {
		letter = new(byte)
	}
	kept := s.Res.Fields[:0]
	for _, f := range s.Res.Fields {
		if string(f.Name) != "set-cookie" {
			kept = append(kept, f)
			continue
		}
		p := pairAt(f.Value, 0, true, false)
		if p.equal == p.valueEnd {
			kept = append(kept, f)
			continue
		}
		if p.loose() {
			f.Value = p.close(s.Scratch(f.Value))
		}
		if x.to.ignore || string(f.Value[p.name:p.nameEnd]) != c.o.Name {
			kept = append(kept, f)
			continue
		}
		found, *letter = true, 'P'
		switch {
		case c.o.Preserve:
		case c.o.Insert, x.direct() && c.o.Indirect:
			found, *letter = false, 'D'
			continue
		case own != "" && c.o.Rewrite:
			f.Value = splice(s, f.Value, p.value, p.valueEnd, own, "")
			found, *letter = false, 'R'
		case own != "" && c.o.Prefix:
			f.Value = splice(s, f.Value, p.value, p.value, own, string(prefixMark))
			found, *letter = false, 'R'
		}
		kept = append(kept, f)
	}
	s.Res.Fields = kept
	return found
}

// splice returns line with [from:to] replaced.
func splice(s *stream.Stream, line []byte, from, to int, with, mark string) []byte {
	return s.Build(func(b []byte) []byte {
		b = append(b, line[:from]...)
		b = append(b, with...)
		b = append(b, mark...)
		return append(b, line[to:]...)
	})
}

// cookiePair is the place of one NAME = VALUE in a line: all are indexes.
type cookiePair struct {
	start           int // the delimiter before it, or the line's begin
	name, nameEnd   int
	equal           int
	value, valueEnd int
	next            int // the delimiter behind it
}

// pairAt finds the pair at start. In a Cookie line a comma ends a name too; in a value it always does, outside quotes.
func pairAt(b []byte, start int, first, request bool) cookiePair {
	p := cookiePair{start: start, name: start}
	if !first {
		p.name++
	}
	for p.name < len(b) && isBlank(b[p.name]) {
		p.name++
	}
	p.equal, p.nameEnd = p.name, p.name
	for p.equal < len(b) && b[p.equal] != '=' && b[p.equal] != ';' && (!request || b[p.equal] != ',') {
		p.equal++
		if !isBlank(b[p.equal-1]) {
			p.nameEnd = p.equal
		}
	}
	if p.equal >= len(b) || b[p.equal] != '=' {
		p.value, p.valueEnd, p.next = p.equal, p.equal, p.equal
		return p
	}
	p.value = p.equal + 1
	for p.value < len(b) && isBlank(b[p.value]) {
		p.value++
	}
	p.next = cookieValueEnd(b, p.value)
	p.valueEnd = p.next
	for p.valueEnd > p.value && isBlank(b[p.valueEnd-1]) {
		p.valueEnd--
	}
	return p
}

// loose reports blanks around the equal sign.
func (p *cookiePair) loose() bool { return p.nameEnd != p.equal || p.value > p.equal+1 }

// close takes the blanks around the equal sign out of line, which it changes in place.
func (p *cookiePair) close(line []byte) []byte {
	if !p.loose() {
		return line
	}
	line[p.nameEnd] = '='
	gone := p.value - (p.nameEnd + 1)
	line = append(line[:p.nameEnd+1], line[p.value:]...)
	p.equal, p.value = p.nameEnd, p.nameEnd+1
	p.valueEnd -= gone
	p.next -= gone
	return line
}

// cookieValueEnd finds the delimiter behind a value, which quotes may hide.
func cookieValueEnd(b []byte, at int) int {
	quoted := false
	for ; at < len(b); at++ {
		switch c := b[at]; {
		case quoted && c == '\\':
			at++
		case c == '"':
			quoted = !quoted
		case !quoted && (c == ',' || c == ';'):
			return at
		}
	}
	return len(b)
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' }

const base64Digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

// appendDate writes a date, in units of four seconds, as five base64 digits.
func appendDate(b []byte, d int64) []byte {
	b = append(b, dateMark)
	for shift := 24; shift >= 0; shift -= 6 {
		b = append(b, base64Digits[d>>shift&0x3f])
	}
	return b
}

// date reads such a date into unix seconds; 0 when there is none.
func date(b []byte) int64 {
	if len(b) < 5 {
		return 0
	}
	d := int64(0)
	for _, c := range b[:5] {
		i := strings.IndexByte(base64Digits, c)
		if i < 0 {
			return 0
		}
		d = d<<6 + int64(i)
	}
	return d << 2
}
