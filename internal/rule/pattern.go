package rule

import (
	"bytes"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"gatehouse/internal/stream"
)

// matcher tells whether a value of the match method's kind is accepted by one of the patterns.
type matcher interface{ match(v Value) bool }

// method is one match method: an entry of the table (manual 7.1).
type method struct {
	name string
	kind stream.Kind
	// build makes the matcher of patterns; fold asks to ignore case.
	build func(patterns []string, fold bool) (matcher, error)
}

var methods = index(func(m *method) string { return m.name }, []method{
	{"found", stream.KindAny, func([]string, bool) (matcher, error) { return matchFound{}, nil }},
	{"bool", stream.KindBool, func([]string, bool) (matcher, error) { return matchBool{}, nil }},
	{"int", stream.KindInt, buildRanges(false)},
	{"len", stream.KindStr, buildRanges(true)},
	{dottedVersion, stream.KindInt, buildVersions},
	{"ip", stream.KindAddr, buildNets},
	{"bin", stream.KindBin, buildBin},
	{"str", stream.KindStr, buildSet},
	{"beg", stream.KindStr, buildBeg},
	{"end", stream.KindStr, buildEnd},
	{"sub", stream.KindStr, buildSub},
	{"dir", stream.KindStr, buildParts("/?")},
	{"dom", stream.KindStr, buildParts("/?.:")},
	{"reg", stream.KindStr, buildRegs},
})

// defaultMethods is the method of an ACL that names none, by the kind of its expression.
var defaultMethods = map[stream.Kind]string{
	stream.KindBool: "bool", stream.KindInt: "int", stream.KindAddr: "ip", stream.KindIPv4: "ip", stream.KindIPv6: "ip", stream.KindStr: "str",
}

type matchFound struct{}

func (matchFound) match(Value) bool { return true }

type matchBool struct{}

func (matchBool) match(v Value) bool { return v.Int != 0 }

// matchRanges accepts numbers, or lengths, within one of the ranges.
type matchRanges struct {
	ranges [][2]int64
	length bool
}

func buildRanges(length bool) func([]string, bool) (matcher, error) {
	return func(patterns []string, _ bool) (matcher, error) {
		m := matchRanges{length: length}
		op := ""
		for _, p := range patterns {
			if slices.Contains([]string{"eq", "ge", "gt", "le", "lt"}, p) {
				op = p
				continue
			}
			r, err := parseRange(p, op)
			if err != nil {
				return nil, err
			}
			m.ranges = append(m.ranges, r)
		}
		return m, nil
	}
}

// parseRange reads "5", "1:5", "1:", ":5", or a number behind an operator.
func parseRange(p, op string) ([2]int64, error) {
	const lo, hi = -1 << 63, 1<<63 - 1
	from, to, isRange := strings.Cut(p, ":")
	if !isRange && strings.LastIndexByte(p, '-') > 0 { // the dash is the old way to write a range
		i := strings.LastIndexByte(p, '-')
		from, to, isRange = p[:i], p[i+1:], true
	}
	r := [2]int64{lo, hi}
	for i, word := range []string{from, to} {
		if word == "" && isRange {
			continue
		}
		n, ok := wholeInt(word)
		if i == 1 && !isRange {
			n, ok = r[0], true
		}
		if !ok {
			if op != "" && op != "eq" {
				return r, fmt.Errorf("'%s' is neither a number nor a supported operator", p)
			}
			return r, fmt.Errorf("'%s' is not a number", p)
		}
		r[i] = n
	}
	if r[0] > r[1] || isRange && from == "" && to == "" {
		return r, fmt.Errorf("'%s' is not a valid number range", p)
	}
	if isRange {
		return r, nil
	}
	switch n := r[0]; op {
	case "ge":
		r = [2]int64{n, hi}
	case "gt":
		r = [2]int64{addCapped(n, 1), hi}
	case "le":
		r = [2]int64{lo, n}
	case "lt":
		r = [2]int64{lo, subCapped(n, 1)}
	}
	return r, nil
}

func (m matchRanges) match(v Value) bool {
	n := v.Int
	if m.length {
		n = int64(len(v.Bytes))
	}
	for _, r := range m.ranges {
		if n >= r[0] && n <= r[1] {
			return true
		}
	}
	return false
}

// matchNets accepts addresses in one of the networks. One map per prefix length that occurs: a lookup costs the lengths, not
// the networks.
type matchNets struct {
	four, six []netsOfLength
}

type netsOfLength struct {
	bits int
	nets map[netip.Addr]struct{}
}

func buildNets(patterns []string, _ bool) (matcher, error) {
	var m matchNets
	for _, p := range patterns {
		if p == "" {
			continue
		}
		pre, err := parseNet(p)
		if err != nil {
			return nil, fmt.Errorf("'%s' is not a valid IPv4 or IPv6 address", p)
		}
		list := &m.six
		if pre.Addr().Is4() {
			list = &m.four
		}
		*list = addNet(*list, pre)
	}
	return m, nil
}

func parseNet(p string) (netip.Prefix, error) {
	host, mask, cut := strings.Cut(p, "/")
	a, err := netip.ParseAddr(host)
	if err != nil || a.Zone() != "" {
		return netip.Prefix{}, fmt.Errorf("not an address")
	}
	bits := a.BitLen()
	if cut {
		if bits, err = parseMask(mask, a.Is4()); err != nil {
			return netip.Prefix{}, err
		}
	}
	return a.Prefix(bits)
}

func addNet(list []netsOfLength, p netip.Prefix) []netsOfLength {
	for i := range list {
		if list[i].bits == p.Bits() {
			list[i].nets[p.Addr()] = struct{}{}
			return list
		}
	}
	return append(list, netsOfLength{p.Bits(), map[netip.Addr]struct{}{p.Addr(): {}}})
}

// match compares within the address's family; an IPv4 address also as mapped IPv6, and IPv6 as the IPv4 it
// stands for.
func (m matchNets) match(v Value) bool {
	a := v.Addr
	if v4, ok := toIPv4(a); ok && inNets(m.four, v4) {
		return true
	}
	return inNets(m.six, netip.AddrFrom16(a.As16()))
}

func inNets(list []netsOfLength, a netip.Addr) bool {
	for i := range list {
		if p, err := a.Prefix(list[i].bits); err == nil {
			if _, ok := list[i].nets[p.Addr()]; ok {
				return true
			}
		}
	}
	return false
}

func buildBin(patterns []string, _ bool) (matcher, error) {
	set := matchSet{exact: map[string]struct{}{}}
	for _, p := range patterns {
		b, err := hexBytes(p)
		if err != nil {
			return nil, err
		}
		set.exact[string(b)] = struct{}{}
	}
	return set, nil
}

func hexBytes(p string) ([]byte, error) {
	if len(p)%2 != 0 {
		return nil, fmt.Errorf("an even number of hex digit is expected")
	}
	b := make([]byte, 0, len(p)/2)
	for i := 0; i < len(p); i += 2 {
		hi, ok1 := hexDigit(p[i])
		lo, ok2 := hexDigit(p[i+1])
		switch {
		case !ok1:
			return nil, fmt.Errorf("an hex digit is expected (found '%c')", p[i])
		case !ok2:
			return nil, fmt.Errorf("an hex digit is expected (found '%c')", p[i+1])
		}
		b = append(b, hi<<4|lo)
	}
	return b, nil
}

// matchSet accepts the texts of a set.
type matchSet struct {
	exact map[string]struct{}
	fold  bool // exact holds lower case
}

func buildSet(patterns []string, fold bool) (matcher, error) {
	m := matchSet{make(map[string]struct{}, len(patterns)), fold}
	for _, p := range patterns {
		if fold {
			p = lowerText(p)
		}
		m.exact[p] = struct{}{}
	}
	return m, nil
}

func (m matchSet) match(v Value) bool {
	if !m.fold {
		_, ok := m.exact[string(v.Bytes)]
		return ok
	}
	var room [256]byte
	_, ok := m.exact[string(appendLower(room[:0], v.Bytes))]
	return ok
}

func lowerText(t string) string { return string(appendLower(nil, []byte(t))) }

func appendLower(dst, b []byte) []byte {
	for _, c := range b {
		dst = append(dst, lowerByte(c))
	}
	return dst
}

// matchMethods accepts request methods. Those that HTTP defines must be written as they are; case can be ignored for others.
type matchMethods struct{ matchSet }

var knownMethods = map[string]struct{}{"OPTIONS": {}, "GET": {}, "HEAD": {}, "POST": {}, "PUT": {}, "DELETE": {}, "TRACE": {}, "CONNECT": {}}

func buildMethods(patterns []string, fold bool) (matcher, error) {
	m := matchMethods{matchSet{map[string]struct{}{}, fold}}
	for _, p := range patterns {
		if _, known := knownMethods[p]; fold && !known {
			p = lowerText(p)
		}
		m.exact[p] = struct{}{}
	}
	return m, nil
}

func (m matchMethods) match(v Value) bool {
	if _, known := knownMethods[string(v.Bytes)]; known {
		_, ok := m.exact[string(v.Bytes)]
		return ok
	}
	return m.matchSet.match(v)
}

// matchBeg accepts texts that start with a pattern. Patterns are sorted, and those that another one covers are gone, so that
// the only candidate is the greatest one not above the text.
type matchBeg struct {
	prefixes []string
	fold     bool
}

func buildBeg(patterns []string, fold bool) (matcher, error) {
	m := matchBeg{fold: fold}
	sorted := slices.Clone(patterns)
	for i := range sorted {
		if fold {
			sorted[i] = lowerText(sorted[i])
		}
	}
	slices.Sort(sorted)
	for _, p := range sorted {
		if n := len(m.prefixes); n == 0 || !strings.HasPrefix(p, m.prefixes[n-1]) {
			m.prefixes = append(m.prefixes, p)
		}
	}
	return m, nil
}

func (m matchBeg) match(v Value) bool {
	b := v.Bytes
	var room [256]byte
	if m.fold {
		b = appendLower(room[:0], b)
	}
	lo, hi := 0, len(m.prefixes) // the first prefix above b; written out so that room stays on the stack
	for lo < hi {
		if mid := (lo + hi) / 2; compareText(m.prefixes[mid], b) <= 0 {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo == 0 {
		return false
	}
	p := m.prefixes[lo-1]
	return len(p) <= len(b) && p == string(b[:len(p)])
}

func compareText(p string, b []byte) int {
	for i := 0; i < len(p) && i < len(b); i++ {
		if p[i] != b[i] {
			return int(p[i]) - int(b[i])
		}
	}
	return len(p) - len(b)
}

// matchEach tries every pattern.
type matchEach struct {
	patterns [][]byte // lower case with fold
	fold     bool
	test     eachTest
	delims   string // partTest
}

// eachTest is how a pattern is looked for. Not a function: what is handed to an unknown function moves to the heap.
type eachTest uint8

const (
	endTest eachTest = iota
	subTest
	partTest
)

func (m matchEach) match(v Value) bool {
	b := v.Bytes
	var room [256]byte
	if m.fold {
		b = appendLower(room[:0], b)
	}
	for _, p := range m.patterns {
		ok := false
		switch m.test {
		case endTest:
			ok = bytes.HasSuffix(b, p)
		case subTest:
			ok = bytes.Contains(b, p)
		case partTest:
			ok = containsPart(b, p, m.delims)
		}
		if ok {
			return true
		}
	}
	return false
}

func buildEach(patterns []string, m matchEach) (matcher, error) {
	fold := m.fold
	for _, p := range patterns {
		if fold {
			p = lowerText(p)
		}
		m.patterns = append(m.patterns, []byte(p))
	}
	return m, nil
}

func buildEnd(patterns []string, fold bool) (matcher, error) {
	return buildEach(patterns, matchEach{fold: fold, test: endTest})
}

func buildSub(patterns []string, fold bool) (matcher, error) {
	return buildEach(patterns, matchEach{fold: fold, test: subTest})
}

// buildParts makes dir and dom: a pattern must stand between delimiters or the ends. Delimiters around the pattern itself
// are ignored.
func buildParts(delims string) func([]string, bool) (matcher, error) {
	return func(patterns []string, fold bool) (matcher, error) {
		trimmed := make([]string, len(patterns))
		for i, p := range patterns {
			trimmed[i] = strings.Trim(p, delims)
		}
		return buildEach(trimmed, matchEach{fold: fold, test: partTest, delims: delims})
	}
}

func containsPart(b, p []byte, delims string) bool {
	if len(p) == 0 {
		return false
	}
	isDelim := func(c byte) bool { return strings.IndexByte(delims, c) >= 0 }
	for from := 0; ; from++ {
		i := bytes.Index(b[from:], p)
		if i < 0 {
			return false
		}
		from += i
		end := from + len(p)
		if (from == 0 || isDelim(b[from-1])) && (end == len(b) || isDelim(b[end])) {
			return true
		}
	}
}

// matchRegs accepts what one of the expressions finds itself in.
type matchRegs []*regexp.Regexp

func buildRegs(patterns []string, fold bool) (matcher, error) {
	var m matchRegs
	for _, p := range patterns {
		re, err := compileRegex(p, fold)
		if err != nil {
			return nil, err
		}
		m = append(m, re)
	}
	return m, nil
}

func (m matchRegs) match(v Value) bool {
	for _, re := range m {
		if re.Match(v.Bytes) {
			return true
		}
	}
	return false
}

// quotedList writes names as 'a', 'b' and so on.
func quotedList(names []string) string {
	q := make([]string, len(names))
	for i, n := range names {
		q[i] = "'" + n + "'"
	}
	return strings.Join(q, ", ")
}
