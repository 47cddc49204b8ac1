// Package rule compiles what a configuration says about traffic, and runs it: sample expressions ("hdr(host),lower"), ACLs
// and conditions, http-request, http-response and http-after-response rules, and log formats. It implements chapters 4.3, 7 and
// 8.2 of HAProxy's configuration manual.
//
// Everything is compiled once, to closures, when the configuration is read; errors go to the Compiler's Diags with the texts
// HAProxy uses. At run time nothing is looked up by name and usual rules do not touch the heap: what a rule builds lies in the
// stream's scratch memory and dies with the request.
//
// Each fetch, converter, action and format alias is one entry of one table (fetches, converters, actions, aliases), found in the
// file that is named after its field. Names that HAProxy knows and we do not yet are listed in unsupported.go and
// refused as such.
//
// The package starts no goroutines. Compiled values are immutable and may be used by any number of goroutines at once, each
// with a stream of its own.
package rule

import (
	"time"

	"gatehouse/internal/config"
	"gatehouse/internal/pattern"
	"gatehouse/internal/stream"
	"gatehouse/internal/table"
)

// Value is one sample.
type Value = stream.Value

// Reply is the answer of a deny, return or redirect rule. It lies in the stream and dies with the request.
type Reply = stream.Reply

// Env is what rules ask of the running process. Implementations must not block. A nil Env is allowed: everything asked of it
// then fails.
type Env interface {
	// Nbsrv returns how many servers of a backend can be used; false when there is no such backend.
	Nbsrv(backend string) (int, bool)
	// ServerUp reports whether a server can be used; ok is false when there is no such server.
	ServerUp(backend, server string) (up, ok bool)
	// Var and SetVar keep the variables of scope proc. SetVar gets a value of its own; unset tells to remove it.
	Var(name string) (Value, bool)
	SetVar(name string, v Value, unset bool)
	// Fact returns a number that the process knows; proxy and server are those the fact is of. False: there is no such thing.
	Fact(f Fact, proxy, server string) (int64, bool)
	// Now is the time of day.
	Now() time.Time
}

// Compiler turns words into rules. Its fields are set by the caller before the first call and stay as they are; it is used by
// one goroutine, and what it returns outlives it.
type Compiler struct {
	Diags        *config.Diags                             // where errors go; must not be nil
	ReadFile     func(name string) ([]byte, error)         // for -f, file, lf-file, errorfile; nil refuses them
	Backends     func(name string) bool                    // whether a backend exists; nil believes every name
	LookupEnv    func(name string) (value string, ok bool) // for env(); nil finds nothing
	Hostname     string                                    // for %H and hostname
	Pid          int                                       // for %pid and pid
	Kind         string                                    // "frontend", "backend" or "listen": the section, for messages
	Proxy        string                                    // the section's name
	HTTP         bool                                      // mode http
	Experimental bool                                      // expose-experimental-directives
	Tables       func(name string) *table.Table            // finds a stick table, nil when there is none; nil finds nothing
	Counters     int                                       // tune.stick-counters; 0: DefaultCounters, negative: none
	ErrCodes     *config.StatusCodes                       // http-err-codes; nil: none
	FailCodes    *config.StatusCodes                       // http-fail-codes; nil: none
	Captures     []config.Capture                          // capture and declare capture lines of the section
	Patterns     *pattern.Refs                             // sets of patterns, shared by the sections; with nil the compiler has its own

	BufSize int    // tune.bufsize, which bounds files; 0: 16384
	Realm   string // of auth rules that name none; "" is the section's name
	// Userlists finds the accounts of a userlist; nil knows none.
	Userlists func(name string) *Userlist
	// Errors finds the pages of an http-errors section by status; nil knows none and refuses nothing.
	Errors func(section string) (map[int]*Answer, bool)

	slots    stream.CaptureSlots // declared so far
	declared int                 // how many of Captures are among them
	ids      []captureID         // used by rules, to be found at the end
	seen     need                // what the expressions of the rule at hand read

	Frontends      func(name string) bool            // whether a frontend exists; nil believes every name
	Servers        func(backend, server string) bool // whether a server exists; nil believes every name
	DefaultBackend string                            // default_backend of the section, for fe_defbe
	// Limits are the filters that set-bandwidth-limit brings into force, made by Bandwidths.
	Limits          []*Bandwidth
	Running         bool                                // compiled for a command while traffic flows: files of patterns can't be loaded any more
	NoDelay         bool                                // there is no tcp-request inspect-delay
	NoResponseDelay bool                                // there is no tcp-response inspect-delay
	Keys            *JWTKeys                            // shared by the compilers of one generation; nil makes its own
	Certificates    JWTCertificates                     // those of jwt_verify_cert; nil has none
	Services        func(name string) Service           // finds what use-service names; nil finds nothing
	Sink            func(name string) func(line []byte) // finds or makes an event sink, for debug; nil finds none
	named           *ACLs                               // of the proxy, while they are compiled and afterwards

	at         config.Pos            // the line being compiled
	uses       map[setUse]int        // sets seen on each line
	predefined map[string]*acl       // predefined ACLs in use
	inherited  map[*config.ACL]*ACLs // ACLs of defaults sections, by their list
}

func (c *Compiler) jwtKeys() *JWTKeys {
	if c.Keys == nil {
		c.Keys = new(JWTKeys)
	}
	return c.Keys
}

// VerdictKind says how the run of a set ended.
type VerdictKind uint8

// The verdicts. Go means that the last rule was passed; Allow that an allow rule ended the set early: both go on.
const (
	VerdictGo VerdictKind = iota
	VerdictAllow
	VerdictDeny     // send Reply; termination state PR
	VerdictReturn   // send Reply; termination state LR
	VerdictRedirect // send Reply; termination state LR
	VerdictReject   // close without an answer; termination state PR
	VerdictTarpit   // wait timeout tarpit, then send Reply; termination state PT
	VerdictTimeout  // the body did not come in time: answer with Status
	VerdictError    // a rewrite did not fit: send Reply (500); termination state PR
	VerdictClose    // of a response: close the server's connection, the client still gets what came
	VerdictDrop     // as Reject, but the client is not told: the connection just ceases
	VerdictUpgrade  // of a session in mode tcp: go on in mode http
	VerdictWait     // a tcp content rule needs more bytes to tell; only while Stream.Waiting is set
)

var verdictNames = [...]string{"go", "allow", "deny", "return", "redirect", "reject", "tarpit", "timeout", "error", "close", "drop", "upgrade", "wait"}

func (k VerdictKind) String() string { return verdictNames[k] }

// Verdict is the outcome of a set. Reply and Status are set for Deny, Return, Redirect, Tarpit and Error.
type Verdict struct {
	Kind   VerdictKind
	Reply  *Reply
	Status int
}

// Set is a list of compiled rules. A nil Set passes everything.
type Set struct {
	rules []compiled
	apart int  // where redirect lines begin, which Redirects runs; len(rules) when there are none
	head  bool // a rule reads the head of the request
}

// compiled is one rule. do returns whether the set ends here, and how.
type compiled struct {
	cond *Cond
	do   actionFunc
	pos  config.Pos
	name string
	hint *bool // of early-hint: whether it sends what was collected
}

// actionFunc does one action. Everything but Go ends the set.
type actionFunc func(s *stream.Stream, env Env) Verdict

var goOn = Verdict{}

// Len returns the number of rules in the set.
func (set *Set) Len() int {
	if set == nil {
		return 0
	}
	return len(set.rules)
}

// ReadsHead reports whether a rule looks at the head of an HTTP request: in mode tcp one must be sought for it in the bytes that came.
func (set *Set) ReadsHead() bool { return set != nil && set.head }

// Run evaluates the rules in order until one is final, without the redirect lines.
func (set *Set) Run(s *stream.Stream, env Env) Verdict {
	if set == nil {
		return goOn
	}
	return set.run(s, env, set.rules[:set.apart])
}

// Redirects evaluates the redirect lines of the section. They come after its statistics page, and also when a rule of Run allowed.
func (set *Set) Redirects(s *stream.Stream, env Env) Verdict {
	if set == nil || set.apart == len(set.rules) {
		return goOn
	}
	return set.run(s, env, set.rules[set.apart:])
}

func (set *Set) run(s *stream.Stream, env Env, rules []compiled) Verdict {
	s.Lax = false // strict-mode holds within its set
	for i := range rules {
		r := &rules[i]
		if r.cond != nil {
			holds, missing := r.cond.test(s, env)
			if missing {
				return Verdict{Kind: VerdictWait}
			}
			if !holds {
				continue
			}
		}
		if v := r.do(s, env); v.Kind != VerdictGo {
			if v.Kind != VerdictWait {
				s.Log.RuleFile, s.Log.RuleLine = r.pos.File, r.pos.Line
			}
			return v
		}
	}
	return goOn
}
