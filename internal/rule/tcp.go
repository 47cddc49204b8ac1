package rule

import (
	"fmt"
	"strings"

	"gatehouse/internal/config"
	"gatehouse/internal/stream"
)

// The places of tcp rules (manual, "tcp-request" and "tcp-response"): what each of them knows, and whether it may wait for more
// bytes is the caller's to say with Stream.Waiting.
var (
	inConnection  = scope{"tcp-request connection", "tcp-request connection rule", knowsConn &^ needTLS}
	inSession     = scope{"tcp-request session", "tcp-request session rule", knowsConn}
	inContent     = scope{"tcp-request content", "tcp-request content rule", knowsRequest &^ needReqBody}
	inTCPResponse = scope{"tcp-response content", "tcp-response content rule", knowsResponse &^ needResBody}
)

// tcp reports whether the rules of a place are tcp rules, whose errors HAProxy words in its own way.
func (p scope) tcp() bool { return strings.HasPrefix(p.name, "tcp-") }

// TCPConnection compiles tcp-request connection rules: run when a connection was accepted, before anything was read from it.
func (c *Compiler) TCPConnection(rules []config.Rule, acls *ACLs) *Set {
	return c.set(rules, acls, inConnection, atConnection)
}

// TCPSession compiles tcp-request session rules: run after the PROXY header and the TLS handshake.
func (c *Compiler) TCPSession(rules []config.Rule, acls *ACLs) *Set {
	return c.set(rules, acls, inSession, atSession)
}

// TCPContent compiles tcp-request content rules: run on what the client sent so far, in mode http on each request's head. The verdict
// of such a set may be VerdictWait while Stream.Waiting is set: run it again from its beginning when more bytes came, and
// without Waiting when none will.
func (c *Compiler) TCPContent(rules []config.Rule, acls *ACLs) *Set {
	in := inContent
	if c.Kind == "frontend" {
		in.knows &^= needBackend // none is chosen yet
	} else {
		in.knows |= needReqBody
	}
	return c.set(rules, acls, in, atContent)
}

// TCPResponse compiles tcp-response content rules, which run as those of TCPContent do, on what the server sent.
func (c *Compiler) TCPResponse(rules []config.Rule, acls *ACLs) *Set {
	return c.set(rules, acls, inTCPResponse, atTCPResponse)
}

func tcpActions() []action {
	return []action{
		{"accept", atTCP, "pass the rest of this set", func(*ruleParser) (actionFunc, error) {
			return func(*stream.Stream, Env) Verdict { return Verdict{Kind: VerdictAllow} }, nil
		}},
		{"close", atTCPResponse, "close the server's connection; what it sent still reaches the client", func(*ruleParser) (actionFunc, error) {
			return func(*stream.Stream, Env) Verdict { return Verdict{Kind: VerdictClose} }, nil
		}},
		{"switch-mode", atContent, "go on in mode http", bindSwitchMode},
		{"silent-drop", atRequest | atResponse | atTCP, "end the connection without telling the client", bindSilentDrop},
	}
}

// bindSwitchMode reads "http [proto h1]". HTTP/2 is not ours to speak.
func bindSwitchMode(p *ruleParser) (actionFunc, error) {
	mode, _ := p.next()
	switch {
	case mode == "":
		return nil, fmt.Errorf("'%s %s' expects a mode as argument", "tcp-request", p.word)
	case p.c.Kind == "backend":
		return nil, fmt.Errorf("'%s %s' not allowed because %s '%s' has no frontend capability", "tcp-request", p.word, p.c.Kind, p.c.Proxy)
	case mode != "http":
		return nil, fmt.Errorf("'%s %s' expects a valid mode (got '%s')", "tcp-request", p.word, mode)
	}
	if len(p.words) > 0 && p.words[0] == "proto" {
		p.next()
		switch proto, _ := p.next(); proto {
		case "h1":
		case "":
			return nil, fmt.Errorf("'%s %s': '%s' expects a protocol as argument", "tcp-request", p.word, "proto")
		case "h2", "fcgi", "none", "spop":
			return nil, fmt.Errorf("'%s %s': protocol '%s' is not supported", "tcp-request", p.word, proto)
		default:
			return nil, fmt.Errorf("'%s %s': '%s' expects a valid MUX protocol, if specified (got '%s')", "tcp-request", p.word, "proto", proto)
		}
	}
	return func(s *stream.Stream, _ Env) Verdict {
		if s.HTTP && !s.Peeked {
			return Verdict{Kind: VerdictAllow} // it is one already
		}
		return Verdict{Kind: VerdictUpgrade}
	}, nil
}

// bindSilentDrop reads "[rst-ttl N]": N hops far a reset is sent, so that state of firewalls near by goes away.
func bindSilentDrop(p *ruleParser) (actionFunc, error) {
	ttl := 0
	if len(p.words) > 0 && p.words[0] == "rst-ttl" {
		p.next()
		w, _ := p.next()
		n, ok := wholeInt(w)
		switch {
		case w == "":
			return nil, fmt.Errorf("missing rst-ttl value")
		case !ok:
			return nil, fmt.Errorf("invalid character starting at '%s' (value 1-255 expected)", strings.TrimLeft(w, "0123456789"))
		case n < 1 || n > 255:
			return nil, fmt.Errorf("valid rst-ttl values are [1-255]")
		}
		ttl = int(n)
	}
	return func(*stream.Stream, Env) Verdict { return Verdict{Kind: VerdictDrop, Status: ttl} }, nil
}

// The actions that HAProxy 3.4 knows in tcp rules, in the order of its messages; those in front of the bar it names by hand.
const (
	tcpFirstNames    = `accept reject capture expect-proxy expect-netscaler-cip track-sc(*)`
	connectionCommon = `sc-add-gpc(*) sc-inc-gpc(*) sc-inc-gpc0(*) sc-inc-gpc1(*) sc-set-gpt(*) sc-set-gpt0(*)`
	connectionEnd    = `do-log set-dst set-dst-port set-fc-mark set-fc-tos set-mark set-src set-src-port set-tos silent-drop`
	variableNames    = `set-var-fmt(*) set-var(*) unset-var(*)`
	connectionNames  = connectionCommon + ` ` + variableNames + ` ` + connectionEnd
	sessionNames     = connectionCommon + ` ` + variableNames + ` attach-srv ` + connectionEnd
	contentNames     = `set-retries set-log-level set-nice switch-mode use-service ` + connectionCommon + ` do-resolve(*) send-spoe-group ` + variableNames +
		` do-log set-bc-mark set-bc-tos set-dst set-dst-port set-fc-mark set-fc-tos set-mark set-src set-src-port set-tos silent-drop
		set-bandwidth-limit set-priority-class set-priority-offset`
	tcpResponseFirstNames = `accept close reject`
	tcpResponseNames      = `set-log-level set-nice ` + connectionCommon + ` send-spoe-group ` + variableNames +
		` do-log set-fc-mark set-fc-tos set-mark set-tos silent-drop set-bandwidth-limit`
)

// tcpActionNames are the actions of a tcp place: those that HAProxy's messages name first, and the rest.
func tcpActionNames(at place) (first, rest []string) {
	switch at {
	case atConnection:
		return strings.Fields(tcpFirstNames), strings.Fields(connectionNames)
	case atSession:
		return strings.Fields(tcpFirstNames), strings.Fields(sessionNames)
	case atContent:
		return strings.Fields(tcpFirstNames), strings.Fields(contentNames)
	}
	return strings.Fields(tcpResponseFirstNames), strings.Fields(tcpResponseNames)
}

// unknownTCPAction words the refusal of an action in a tcp rule.
func (c *Compiler) unknownTCPAction(word string, pos config.Pos, in scope, at place) {
	first, rest := tcpActionNames(at)
	known := append(append([]string{}, first...), rest...)
	name, _, _ := strings.Cut(word, "(")
	for _, k := range known {
		base := strings.TrimSuffix(k, "(*)")
		if name != "" && (base == name || base == "track-sc" && strings.HasPrefix(name, base)) {
			c.Diags.Alert(pos, "'%s %s' is not supported.", in.name, word)
			return
		}
	}
	head := "'accept', 'reject', 'capture', 'expect-proxy', 'expect-netscaler-cip', 'track-sc0' ... 'track-sc2'"
	if at == atTCPResponse {
		head = "'accept', 'close', 'reject'"
	}
	text := fmt.Sprintf("'%s' expects %s, %s in %s '%s' (got '%s').", in.name, head, quotedList(rest), c.Kind, c.Proxy, word)
	c.Diags.Alert(pos, "%s", text+didYouMean(name, known))
}

// tcpAlert reports an error in a tcp rule.
func (c *Compiler) tcpAlert(r config.Rule, in scope, what string, err error) {
	if what == "" {
		c.Diags.Alert(r.Pos, "%s.", err)
		return
	}
	c.Diags.Alert(r.Pos, "'%s %s' : error detected in %s '%s' while parsing '%s' condition : %s.", in.name, r.Words[0], c.Kind, c.Proxy, what, err)
}

// warnTCP says that an ACL is of no use in a tcp rule.
func (c *Compiler) warnTCP(a *acl, pos config.Pos, in scope, where string) {
	if a.name != "" {
		c.Diags.Warning(pos, "acl '%s' will never match in '%s' because it only involves keywords that are incompatible with '%s'", a.name, in.name, where)
		return
	}
	c.Diags.Warning(pos, "anonymous acl will never match in '%s' because it uses keyword '%s' which is incompatible with '%s'", in.name, a.tests[0].expr.name, where)
}
