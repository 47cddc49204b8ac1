package config

import (
	"slices"
	"time"
)

// BandwidthLimit is one `filter bwlim-in` or `bwlim-out` line (manual section 9.7). With a key it is shared by all streams whose key
// has the same entry in a stick table; else each stream has its own.
type BandwidthLimit struct {
	Pos         Pos
	Name        string
	In          bool          // it limits what clients send
	Limit       int64         // bytes that may pass within a period
	Period      time.Duration // of a limit without a key; with one the table's rate says it
	MinSize     int64         // bytes that pass at a time at least
	Key         []string      // the words of the key's expression; nil without one
	Table       string        // "" is that of the section
	Compression bool          // a filter for compression stands before: the limit is on what that makes
}

// Word is the filter's name on its line.
func (b *BandwidthLimit) Word() string {
	if b.In {
		return "bwlim-in"
	}
	return "bwlim-out"
}

// bandwidthOptions are the words of a bwlim line, and which kind of limit each belongs to.
var bandwidthOptions = map[string]struct{ shared, own bool }{
	"key": {shared: true}, "table": {shared: true}, "limit": {shared: true},
	"default-limit": {own: true}, "default-period": {own: true}, "min-size": {},
}

// bandwidthFilter reads the words behind `filter bwlim-in` or `bwlim-out`.
func (p *parser) bandwidthFilter(s *statement) {
	px, what := s.px, s.arg(1)
	f := BandwidthLimit{Pos: s.pos, Name: s.arg(2), In: what == "bwlim-in", Compression: px.CompReq || px.CompRes}
	fail := func(format string, args ...any) { p.alert("'%s' : "+format, append([]any{s.arg(0)}, args...)...) }
	if f.Name == "" {
		fail("'%s' : a name is expected as first argument ", what)
		return
	}
	if slices.ContainsFunc(px.BandwidthLimits, func(o BandwidthLimit) bool { return o.Name == f.Name }) {
		fail("bwlim filter '%s' already declared for proxy '%s'\n", f.Name, px.Name)
		return
	}
	shared, own := false, false
	words := s.words[3:]
	for len(words) > 0 {
		option := words[0]
		of, known := bandwidthOptions[option]
		switch {
		case !known:
			p.alert("'%s %s' : unknown keyword '%s'.", s.arg(0), what, option)
			return
		case of.shared && own || of.own && shared:
			fail("'%s' : cannot mix per-stream and shared parameter", what)
			return
		case len(words) < 2 || words[1] == "":
			missing := map[string]string{"key": "sample expression", "table": "table name"}[option]
			if missing == "" {
				missing = "value"
			}
			fail("'%s' : the %s is missing for '%s' option", what, missing, option)
			return
		}
		shared, own = shared || of.shared, own || of.own
		words = words[1:]
		n := 1
		var err error
		switch option {
		case "key":
			for n < len(words) && !isBandwidthOption(words[n]) {
				n++ // converters may stand apart
			}
			f.Key = words[:n]
		case "table":
			f.Table = words[0]
		case "default-period":
			f.Period, err = ParseTime(words[0], time.Millisecond)
		case "min-size":
			f.MinSize, err = ParseSize(words[0])
		default:
			f.Limit, err = ParseSize(words[0])
		}
		if err != nil {
			fail("'%s' : invalid value for option '%s' (unexpected character '%c')", what, option, unexpected(err))
			return
		}
		words = words[n:]
	}
	missing := ""
	switch {
	case shared && f.Key == nil:
		missing = "key"
	case shared && f.Limit == 0:
		missing = "limit"
	case !shared && f.Period == 0:
		missing = "default-period"
	case !shared && f.Limit == 0:
		missing = "default-limit"
	default:
		px.BandwidthLimits = append(px.BandwidthLimits, f)
		return
	}
	fail("'%s' : <%s> option is missing", what, missing)
}

func isBandwidthOption(word string) bool {
	_, ok := bandwidthOptions[word]
	return ok
}

// unexpected is the character that an error of ParseTime or ParseSize names, 0 when it names none.
func unexpected(err error) byte {
	if c, ok := err.(*CharError); ok {
		return c.Char()
	}
	return 0
}

// finishFilters demands that compression says where it stands among limits.
func (p *parser) finishFilters(px *Proxy) {
	if px.Compression != nil && len(px.BandwidthLimits) > 0 && !px.CompReq && !px.CompRes {
		p.late(LevelAlert, px.Pos, "config: %s '%s': require an explicit filter declaration to use HTTP compression", typeName(px), px.Name)
	}
}
