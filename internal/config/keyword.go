package config

import (
	"slices"
	"strings"
)

// State says what happens to a keyword.
type State int

const (
	Honoured State = iota // it does what the manual says
	NoEffect              // accepted with one NOTICE line: it cannot mean anything here
	Refused               // known to HAProxy 3.4, not supported: an error with file and line
	Partial               // it does what the manual says but for what Note tells
)

func (s State) String() string {
	return [...]string{"supported", "without effect", "refused", "partial"}[s]
}

// Place is a set of places where a keyword may stand.
type Place uint32

const (
	InFile Place = 1 << iota // begins a section
	InGlobal
	InDefaults      // any defaults section
	InNamedDefaults // defaults sections with a name only
	InFrontend
	InBackend
	InListen
	InBind   // on bind and stats socket lines
	InServer // on server and default-server lines
	InOption // after the word option
	InTimeout
	InCrtStore
	InLoad // on load lines, and with ssl-f-use
	InACME
	InGatehouse
	InHTTPErrors
	InUserlist
	InRing

	inFE  = InFrontend | InListen
	inBE  = InBackend | InListen
	inPx  = inFE | inBE
	inDFE = InDefaults | inFE
	inDBE = InDefaults | inBE
	inAll = InDefaults | inPx
	inRul = InNamedDefaults | inPx
)

var placeNames = []string{"sections", "global", "defaults", "named defaults", "frontend", "backend", "listen", "bind", "server",
	"option", "timeout", "crt-store", "load", "acme", "gatehouse", "http-errors", "userlist", "ring"}

func (p Place) String() string {
	var names []string
	for i, n := range placeNames {
		if p&(1<<i) != 0 {
			names = append(names, n)
		}
	}
	return strings.Join(names, ", ")
}

// Keyword is the one entry of a keyword: where it is allowed, how it parses, what becomes of it, where the manual
// explains it. The parser, "did you mean" and docs/keywords.md come from it.
type Keyword struct {
	Name   string
	In     Place
	Args   string // its arguments, as the manual writes them
	State  State
	Manual string // section of HAProxy's manual; "" for our own keywords
	Note   string // what a reader should know beyond the manual

	args  int  // bind and server keywords: how many words follow when nothing parses them; -1 all that follow
	own   bool // HAProxy has no such keyword
	hides bool // not offered by "did you mean"
	parse func(p *parser, s *statement)
}

// Own reports whether the keyword is ours and unknown to HAProxy.
func (k *Keyword) Own() bool { return k.own }

// Keywords returns the whole table, sorted by place as it is used: sections, global, proxies, options, timeouts, bind,
// server, crt-store, acme, gatehouse, http-errors, userlist, ring.
func Keywords() []Keyword {
	t := newTables()
	var all []Keyword
	for _, part := range []*table{t.section, t.global, t.proxy, t.option, t.timeout, t.bind, t.server, t.crtStore, t.load, t.acme, t.gatehouse, t.httpErrors, t.userlist, t.ring} {
		all = append(all, part.list...)
	}
	return all
}

// table is one list of keywords and its index.
type table struct {
	list []Keyword
	by   map[string]*Keyword
}

func newTable(list []Keyword) *table {
	t := &table{list: list, by: make(map[string]*Keyword, len(list))}
	for i := range list {
		t.by[list[i].Name] = &list[i]
	}
	return t
}

// nearest suggests a keyword of the table that may stand in one of the given places (0: any), or one of more.
func (t *table) nearest(word string, in Place, more ...string) string {
	names := slices.Clip(more)
	for i := range t.list {
		k := &t.list[i]
		if !k.hides && (in == 0 || k.In&in != 0) {
			names = append(names, k.Name)
		}
	}
	return Nearest(word, names)
}

// tables are all keyword tables. They are values of one parser, not of the package, so that an entry's parse function
// may itself look into them.
type tables struct {
	section, global, proxy, option, timeout, bind, server, crtStore, load, acme, gatehouse, httpErrors, userlist, ring *table
}

func newTables() *tables {
	return &tables{
		section:    newTable(sectionKeywords()),
		global:     newTable(globalKeywords()),
		proxy:      newTable(proxyKeywords()),
		option:     newTable(optionKeywords()),
		timeout:    newTable(timeoutKeywords()),
		bind:       newTable(bindKeywords()),
		server:     newTable(serverKeywords()),
		crtStore:   newTable(crtStoreKeywords()),
		load:       newTable(loadKeywords()),
		acme:       newTable(acmeKeywords()),
		gatehouse:  newTable(gatehouseKeywords()),
		httpErrors: newTable(httpErrorsKeywords()),
		userlist:   newTable(userlistKeywords()),
		ring:       newTable(ringKeywords()),
	}
}

// refused and noEffect build the entries of keywords that carry no value.
func refused(in Place, manual string, names ...string) []Keyword {
	return plain(Refused, in, manual, names)
}

func noEffect(in Place, manual string, names ...string) []Keyword {
	return plain(NoEffect, in, manual, names)
}

// hidden marks entries that "did you mean" does not offer.
func hidden(list []Keyword) []Keyword {
	for i := range list {
		list[i].hides = true
	}
	return list
}

func plain(state State, in Place, manual string, names []string) []Keyword {
	list := make([]Keyword, 0, len(names))
	for _, n := range names {
		name, args, _ := strings.Cut(n, " ")
		list = append(list, Keyword{Name: name, Args: args, In: in, State: state, Manual: manual, args: len(strings.Fields(args))})
	}
	return list
}
