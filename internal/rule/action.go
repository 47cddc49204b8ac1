package rule

import (
	"fmt"
	"slices"
	"strings"

	"gatehouse/internal/config"
	"gatehouse/internal/stream"
)

// action is one rule action: an entry of the table.
type action struct {
	name  string // with "(*)" when an argument in parentheses follows
	where place
	doc   string
	bind  func(p *ruleParser) (actionFunc, error)
}

// place is a set of places where an action may stand: one bit per kind of rule.
type place uint16

// Where an action may stand.
const (
	atRequest     place = 1 << iota // http-request
	atResponse                      // http-response
	atAfter                         // http-after-response
	atConnection                    // tcp-request connection
	atSession                       // tcp-request session
	atContent                       // tcp-request content
	atTCPResponse                   // tcp-response content

	atAll      = atRequest | atResponse | atAfter // every http rule
	atTCP      = atConnection | atSession | atContent | atTCPResponse
	everywhere = atAll | atTCP
)

// actions is the table of all actions by name.
var actions = actionTable()

func actionTable() map[string]*action {
	return index(func(a *action) string { return a.name }, headerActions(), targetActions(), replyActions(), variableActions(), tcpActions(), packetActions(), captureActions(), trackActions(), streamActions(), addressActions(), mapActions(), serviceActions(), bandwidthActions(), []action{
		{"allow", atAll, "pass the rest of this set", func(*ruleParser) (actionFunc, error) {
			return func(*stream.Stream, Env) Verdict { return Verdict{Kind: VerdictAllow} }, nil
		}},
		{"reject", atRequest | atTCP, "close the connection without an answer", func(*ruleParser) (actionFunc, error) {
			return func(*stream.Stream, Env) Verdict { return Verdict{Kind: VerdictReject} }, nil
		}},
		{"set-log-level", atAll | atContent | atTCPResponse, "level of the log line; silent for none", bindLogLevel},
	})
}

// ruleParser reads the words of one rule.
type ruleParser struct {
	c     *Compiler
	words []string
	pos   config.Pos
	in    scope
	at    place
	word  string // the action as written
	param string // what stood in parentheses behind its name
	hint  *bool  // set by early-hint, see compiled
}

// next takes the next word; false at the end.
func (p *ruleParser) next() (string, bool) {
	if len(p.words) == 0 {
		return "", false
	}
	w := p.words[0]
	p.words = p.words[1:]
	return w, true
}

// take takes n words; the error is HAProxy's when there are fewer.
func (p *ruleParser) take(n int, otherwise string) ([]string, error) {
	if len(p.words) < n {
		return nil, fmt.Errorf("%s", otherwise)
	}
	w := p.words[:n]
	p.words = p.words[n:]
	return w, nil
}

// HTTPRequest compiles http-request rules, and redirect lines among them, in their order. Errors go to Diags.
func (c *Compiler) HTTPRequest(rules []config.Rule, acls *ACLs) *Set {
	in := inRequest
	if c.Kind == "frontend" {
		in.knows &^= needBackend // none is chosen yet
	}
	set := c.set(rules, acls, in, atRequest)
	c.declareCaptures(len(rules))
	return set
}

// HTTPResponse compiles http-response rules.
func (c *Compiler) HTTPResponse(rules []config.Rule, acls *ACLs) *Set {
	return c.set(rules, acls, inResponse, atResponse)
}

// HTTPAfterResponse compiles http-after-response rules, which also run on answers of our own.
func (c *Compiler) HTTPAfterResponse(rules []config.Rule, acls *ACLs) *Set {
	return c.set(rules, acls, inAfterResponse, atAfter)
}

// inheritedACLs compiles the ACLs of a defaults section once; config gives the same list to all rules that come from there.
func (c *Compiler) inheritedACLs(list []config.ACL) *ACLs {
	if len(list) == 0 {
		return c.ACLs(nil)
	}
	set := c.inherited[&list[0]]
	if set == nil {
		if c.inherited == nil {
			c.inherited = map[*config.ACL]*ACLs{}
		}
		set = c.ACLs(list)
		c.inherited[&list[0]] = set
	}
	return set
}

// finalActions end a set whenever they are done.
var finalActions = map[string]bool{"allow": true, "auth": true, "deny": true, "return": true, "redirect": true, "reject": true, "tarpit": true,
	"use-service": true}

func (c *Compiler) set(rules []config.Rule, acls *ACLs, in scope, at place) *Set {
	set := &Set{}
	wasInherited, final := false, false // the rule before
	for i, r := range rules {
		if at == atRequest {
			c.declareCaptures(i)
		}
		sees := acls
		if r.ACLs != nil { // the rule comes from a defaults section and sees the ACLs of that section only
			sees = c.inheritedACLs(r.ACLs)
		}
		c.seen = 0
		done, ok := c.rule(r, sees, in, at)
		if !ok {
			continue
		}
		c.warnTrack(r, at)
		set.head = set.head || c.seen&needHead != 0 || done.cond.ReadsHead()
		if n := len(set.rules); !in.tcp() && n > 0 && !r.Apart && wasInherited == (r.ACLs != nil) && set.rules[n-1].cond == nil && final {
			*c.Diags = append(*c.Diags, config.Diag{Level: config.LevelWarning, Pos: r.Pos, Text: fmt.Sprintf(
				"config : parsing [%s:%d]: previous '%s' action is final and has no condition attached, further entries are NOOP.",
				r.Pos.File, r.Pos.Line, in.name)})
		}
		markHint(set.rules, &done)
		if !r.Apart {
			set.apart = len(set.rules) + 1
		}
		set.rules = append(set.rules, done)
		wasInherited = r.ACLs != nil
		final = finalActions[done.name] && !slices.Contains(r.Words, "ignore-empty") // which passes when there is nowhere to go
	}
	if len(set.rules) == 0 {
		return nil
	}
	markHint(set.rules, nil)
	return set
}

// rule compiles one line.
func (c *Compiler) rule(r config.Rule, acls *ACLs, in scope, at place) (compiled, bool) {
	c.at = r.Pos
	if in.tcp() && len(r.Words) == 0 {
		c.unknownTCPAction("", r.Pos, in, at)
		return compiled{}, false
	}
	if len(r.Words) == 0 {
		c.unknownAction("", r.Pos, in, at)
		return compiled{}, false
	}
	word := r.Words[0]
	a, param := findAction(word, at)
	if a == nil && in.tcp() {
		c.unknownTCPAction(word, r.Pos, in, at)
		return compiled{}, false
	}
	if a == nil {
		c.unknownAction(word, r.Pos, in, at)
		return compiled{}, false
	}
	what := fmt.Sprintf("'%s %s'", in.name, word)
	p := &ruleParser{c: c, words: r.Words[1:], pos: r.Pos, in: in, at: at, word: word, param: param}
	do, err := a.bind(p)
	if err != nil && in.tcp() {
		c.tcpAlert(r, in, "", err)
		return compiled{}, false
	}
	if err != nil {
		c.Diags.Alert(r.Pos, "error detected in %s '%s' while parsing %s rule : %s.", c.Kind, c.Proxy, what, err)
		return compiled{}, false
	}
	if in.tcp() && len(p.words) > 0 && !isCondWord(p.words[0]) {
		c.Diags.Alert(r.Pos, "%s only accepts 'if' or 'unless', in %s '%s' (got '%s').", what, c.Kind, c.Proxy, p.words[0])
		return compiled{}, false
	}
	if len(p.words) > 0 && !isCondWord(p.words[0]) {
		*c.Diags = append(*c.Diags, config.Diag{Level: config.LevelAlert, Pos: r.Pos,
			Text: fmt.Sprintf("config : parsing [%s:%d]: %s expects either 'if' or 'unless' followed by a condition but found '%s'.",
				r.Pos.File, r.Pos.Line, what, p.words[0])})
		return compiled{}, false
	}
	cond, err := c.parseCond(p.words, r.Pos, acls, in)
	if err != nil && in.tcp() {
		c.tcpAlert(r, in, p.words[0], err)
		return compiled{}, false
	}
	if err != nil {
		c.Diags.Alert(r.Pos, "error detected while parsing an %s condition : %s.", what, err)
		return compiled{}, false
	}
	return compiled{cond: cond, do: do, pos: r.Pos, name: word, hint: p.hint}, true
}

// findAction looks an action up, splitting "set-var(txn.x)" at its parenthesis.
func findAction(word string, at place) (a *action, param string) {
	if strings.HasPrefix(word, "track-sc") {
		a = actions["track-sc(*)"]
	} else if name, rest, ok := strings.Cut(word, "("); ok {
		if a = actions[name+"(*)"]; a != nil {
			param = rest
		}
	} else if a = actions[word]; a == nil {
		a = actions[word+"(*)"]
	}
	if a != nil && a.where&at == 0 {
		return nil, ""
	}
	return a, param
}

// closeParam checks the ")" that ends what stood behind an action's name.
func (p *ruleParser) closeParam() (string, error) {
	inside, ok := strings.CutSuffix(p.param, ")")
	if !ok || inside == "" {
		return "", fmt.Errorf("invalid or incomplete action")
	}
	return inside, nil
}

func (c *Compiler) unknownAction(word string, pos config.Pos, in scope, at place) {
	name, _, _ := strings.Cut(word, "(")
	known := actionNames(at)
	text := fmt.Sprintf("config : parsing [%s:%d]: '%s' expects %s, but got '%s'", pos.File, pos.Line, in.name, quotedList(known), word)
	if word == "" {
		text += " (missing argument)"
	}
	text += "." + didYouMean(name, known)
	for _, k := range known {
		if base, _, _ := strings.Cut(k, "(*)"); base == name || strings.HasSuffix(k, "(*)") && base == "track-sc" && strings.HasPrefix(name, base) {
			text = fmt.Sprintf("config : parsing [%s:%d] : '%s %s' is not supported.", pos.File, pos.Line, in.name, word)
			if base == "do-resolve" {
				text = fmt.Sprintf("config : parsing [%s:%d] : '%s %s' needs resolvers, which are not supported.", pos.File, pos.Line, in.name, word)
			}
			break
		}
	}
	*c.Diags = append(*c.Diags, config.Diag{Level: config.LevelAlert, Pos: pos, Text: text})
}

func didYouMean(name string, known []string) string {
	bare := make([]string, len(known))
	for i, k := range known {
		bare[i] = strings.TrimSuffix(k, "(*)")
	}
	if near := config.Nearest(name, bare); near != "" && name != "" {
		return fmt.Sprintf(" Did you mean '%s' maybe ?", near)
	}
	return ""
}

// actionNames are the actions that HAProxy 3.4 knows in a place, in its order.
func actionNames(at place) []string {
	switch at {
	case atRequest:
		return strings.Fields(requestActionNames)
	case atResponse:
		return strings.Fields(responseActionNames)
	}
	return strings.Fields(afterActionNames)
}

const requestActionNames = `wait-for-handshake set-retries set-log-level set-nice use-service sc-add-gpc(*) sc-inc-gpc(*) sc-inc-gpc0(*)
	sc-inc-gpc1(*) sc-set-gpt(*) sc-set-gpt0(*) do-resolve(*) cache-use send-spoe-group add-acl(*) add-header add-headers-bin allow auth
	capture del-acl(*) del-header del-headers-bin del-map(*) deny disable-l7-retry do-log early-hint normalize-uri pause redirect reject
	replace-header replace-path replace-pathq replace-uri replace-value return set-header set-headers-bin set-map(*) set-method set-path
	set-pathq set-query set-uri strict-mode tarpit track-sc(*) set-timeout wait-for-body set-var-fmt(*) set-var(*) unset-var(*)
	set-bc-mark set-bc-tos set-dst set-dst-port set-fc-mark set-fc-tos set-mark set-src set-src-port set-tos silent-drop
	set-bandwidth-limit set-priority-class set-priority-offset`

const responseActionNames = `set-log-level set-nice sc-add-gpc(*) sc-inc-gpc(*) sc-inc-gpc0(*) sc-inc-gpc1(*) sc-set-gpt(*) sc-set-gpt0(*)
	cache-store send-spoe-group add-acl(*) add-header add-headers-bin allow capture del-acl(*) del-header del-headers-bin del-map(*) deny
	do-log pause redirect replace-header replace-value return set-header set-headers-bin set-map(*) set-status strict-mode track-sc(*)
	set-timeout wait-for-body set-var-fmt(*) set-var(*) unset-var(*) set-fc-mark set-fc-tos set-mark set-tos silent-drop
	set-bandwidth-limit`

const afterActionNames = `set-log-level sc-add-gpc(*) sc-inc-gpc(*) sc-inc-gpc0(*) sc-inc-gpc1(*) sc-set-gpt(*) sc-set-gpt0(*) add-header
	add-headers-bin allow capture del-acl(*) del-header del-headers-bin del-map(*) do-log replace-header replace-value set-header
	set-headers-bin set-map(*) set-status strict-mode set-var-fmt(*) set-var(*) unset-var(*)`

// message is the one this rule changes.
func (p *ruleParser) fields(s *stream.Stream) *[]stream.Field {
	if p.at == atRequest {
		return &s.Req.Fields
	}
	return &s.Res.Fields
}

// httpFormat compiles a format whose text goes into a message.
func (p *ruleParser) httpFormat(text string) (*Format, error) {
	return p.c.parseFormat(text, formatUse{options: options{http: true}, mode: true, in: p.in})
}

// bodyFormat compiles a format whose text goes into a body, as it is.
func (p *ruleParser) bodyFormat(text string) (*Format, error) {
	return p.c.parseFormat(text, formatUse{mode: true, in: p.in})
}

// What a request's rules may build in all, as the room of HAProxy's buffers bounds it.
const (
	maxRewrite = 65536
	maxFields  = 1024
)

// overflow is the verdict when they build more: the request ends with 500, unless strict-mode is off.
func overflow(s *stream.Stream) Verdict {
	if s.Lax {
		return goOn
	}
	return answer(s, VerdictError, Reply{Status: 500, ErrorFile: 500})
}

// crowded reports whether n more bytes have no room in the message.
func crowded(s *stream.Stream, fields []stream.Field, n int) bool {
	return s.Size() > maxRewrite || len(fields) >= maxFields || !s.Room.Take(n)
}

var logLevels = []string{"emerg", "alert", "crit", "err", "warning", "notice", "info", "debug", "silent"}

func bindLogLevel(p *ruleParser) (actionFunc, error) {
	level, _ := p.next()
	for _, l := range logLevels {
		if l == level {
			return func(s *stream.Stream, _ Env) Verdict {
				s.Log.Level = level
				return goOn
			}, nil
		}
	}
	return nil, fmt.Errorf("expects exactly 1 argument (log level name or 'silent')")
}

// expr takes an expression: a word, and further words that are converters.
func (p *ruleParser) expr(missing string) (*Expr, error) {
	word, ok := p.next()
	if !ok || word == "" {
		return nil, fmt.Errorf("%s", missing)
	}
	for len(p.words) > 0 {
		name, _ := identifier(p.words[0])
		if converters[name] == nil {
			break
		}
		word += "," + p.words[0]
		p.words = p.words[1:]
	}
	x, rest, err := p.c.parseExpr(word)
	if err == nil && rest != "" {
		err = fmt.Errorf("missing comma after fetch keyword")
	}
	return x, err
}
