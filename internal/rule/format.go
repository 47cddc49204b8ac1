package rule

import (
	"fmt"
	"strings"

	"gatehouse/internal/config"
	"gatehouse/internal/stream"
)

// The default formats (manual 8.2).
const (
	TCPLog   = "%ci:%cp [%t] %ft %b/%s %Tw/%Tc/%Tt %B %ts %ac/%fc/%bc/%sc/%rc %sq/%bq"
	HTTPLog  = "%ci:%cp [%tr] %ft %b/%s %TR/%Tw/%Tc/%Tr/%Ta %ST %B %CC %CS %tsc %ac/%fc/%bc/%sc/%rc %sq/%bq %hr %hs %{+Q}r"
	HTTPSLog = HTTPLog + " %[fc_err]/%[ssl_fc_err,hex]/%[ssl_c_err]/%[ssl_c_ca_err]/%[ssl_fc_is_resumed] %[ssl_fc_sni]/%sslv/%sslc"
	TCPCLF   = `%{+Q}o %{-Q}ci - - [%T] "TCP " 000 %B "" "" %cp %ms %ft %b %s %Th %Tw %Tc %Tt %U %ts-- %ac %fc %bc %sc %rc %sq %bq "" "" `
	HTTPCLF  = `%{+Q}o %{-Q}ci - - [%trg] %r %ST %B "" "" %cp %ms %ft %b %s %TR %Tw %Tc %Tr %Ta %tsc %ac %fc %bc %sc %rc %sq %bq %CC %CS %hrl %hsl`
)

// maxFormat bounds what one format makes, as tune.bufsize does.
const maxFormat = 16384

// maxNodes bounds the parts of one format.
const maxNodes = 1024

// options change how a value is written: the flags of %{+Q,-X}.
type options struct {
	mandatory bool // M: "-" for nothing
	quote     bool // Q: between double quotes
	hex       bool // X: numbers and addresses in hexadecimal
	escape    bool // E: backslash before " \ ]
	http      bool // values go into a message head: control characters are percent-encoded
	line      bool // values go into a log line: control characters are written as #XX
	bin       bool // bin: bytes stay bytes
	encoding  encoding
}

// formatUse is where a format is written: what that place implies.
type formatUse struct {
	options options
	merge   bool // runs of blanks become one
	mode    bool // aliases of mode http are allowed
	in      scope
}

// Format is a compiled log-format string.
type Format struct {
	text  string
	nodes []node
	whole options // what %o asks for when it names an encoding; zero otherwise
}

// node is a separator, a text, or something that is asked of the stream.
type node struct {
	sep     bool
	lit     string
	dynamic func(dst []byte, s *stream.Stream, env Env) []byte
	expr    bool
	label   label
	value   evalFunc // the item's value, for encodings; nil for text
}

// String returns the format as it was written.
func (f *Format) String() string { return f.text }

// Format compiles the format of a log line. http tells whether the proxy is in mode http. Errors are reported to Diags; the
// Format is nil then.
func (c *Compiler) Format(text string, pos config.Pos, http bool) *Format {
	c.at = pos
	f, err := c.parseFormat(text, formatUse{options{mandatory: true, line: true}, true, http, inLog})
	if err != nil {
		*c.Diags = append(*c.Diags, config.Diag{Level: config.LevelAlert, Pos: pos,
			Text: fmt.Sprintf("Parsing [%s:%d]: failed to parse log-format : %s.", pos.File, pos.Line, err), Near: nearOf(err)})
		return nil
	}
	return f
}

// Text compiles a format whose result is used as it is, such as the name in use_backend. Errors as in Format.
func (c *Compiler) Text(text string, pos config.Pos) *Format {
	c.at = pos
	f, err := c.parseFormat(text, formatUse{in: inRequest, mode: true})
	if err != nil {
		c.Diags.Alert(pos, "%s.", err)
		return nil
	}
	return f
}

// UniqueIDFormat compiles unique-id-format. Errors as in Format.
func (c *Compiler) UniqueIDFormat(text string, pos config.Pos) *Format {
	c.at = pos
	f, err := c.parseFormat(text, formatUse{options{http: true}, true, c.HTTP, inRequest})
	if err != nil {
		*c.Diags = append(*c.Diags, config.Diag{Level: config.LevelAlert, Pos: pos,
			Text: fmt.Sprintf("Parsing [%s:%d]: failed to parse unique-id : %s.", pos.File, pos.Line, err), Near: nearOf(err)})
		return nil
	}
	return f
}

// Append writes the format's text behind dst. What would make it longer than 16 KiB is left out.
func (f *Format) Append(dst []byte, s *stream.Stream, env Env) []byte {
	if f == nil {
		return dst
	}
	if f.whole.encoding != encodePlain {
		return f.appendEncodedMap(dst, s, env)
	}
	start, blank := len(dst), true
	for i := range f.nodes {
		n := &f.nodes[i]
		switch {
		case n.sep:
			if !blank {
				dst = append(dst, ' ')
			}
			blank = true
		case n.dynamic == nil:
			dst = append(dst, n.lit...)
			blank = false
		default:
			before := len(dst)
			dst = n.dynamic(dst, s, env)
			blank = blank && len(dst) == before && !n.expr
		}
		if len(dst)-start > maxFormat {
			return dst[:start+maxFormat]
		}
	}
	return dst
}

// constant returns the format's text when it does not depend on the stream.
func (f *Format) constant() (string, bool) {
	t := ""
	if f.whole.encoding != encodePlain {
		return "", false
	}
	for _, n := range f.nodes {
		if n.dynamic != nil || n.sep {
			return "", false
		}
		t += n.lit
	}
	return t, true
}

// bytes makes the text in the stream's memory; a constant is not copied.
func (f *Format) bytes(s *stream.Stream, env Env) []byte {
	return s.Return(f.Append(s.Work(), s, env))
}

func (c *Compiler) parseFormat(text string, use formatUse) (*Format, error) {
	p := formatParser{c: c, use: use, f: &Format{text: text}}
	for rest := text; rest != ""; {
		var err error
		if rest, err = p.part(rest); err != nil {
			return nil, err
		}
		if len(p.f.nodes) > maxNodes {
			return nil, fmt.Errorf("more than %d parts in one format", maxNodes)
		}
	}
	p.flush()
	return p.f, nil
}

type formatParser struct {
	c   *Compiler
	use formatUse
	f   *Format
	lit []byte

	label label // of the item that is being read
}

func (p *formatParser) flush() {
	if len(p.lit) > 0 {
		p.f.nodes = append(p.f.nodes, node{lit: string(p.lit)})
		p.lit = p.lit[:0]
	}
}

// part reads what rest starts with: text, a blank, or one item behind "%".
func (p *formatParser) part(rest string) (string, error) {
	switch {
	case rest[0] == ' ' && p.use.merge:
		p.flush()
		p.f.nodes = append(p.f.nodes, node{sep: true})
		return rest[1:], nil
	case rest[0] != '%':
		p.lit = append(p.lit, rest[0])
		return rest[1:], nil
	case strings.HasPrefix(rest, "%%"):
		p.lit = append(p.lit, '%')
		return rest[2:], nil
	}
	return p.item(rest[1:], p.f.text[:len(p.f.text)-len(rest)])
}

// item reads "(label){flags}NAME" or "[expr]" behind a "%"; before is what stands in front of it, for the message.
func (p *formatParser) item(rest, before string) (string, error) {
	opt, err := p.use.options, error(nil)
	p.label = label{}
	if strings.HasPrefix(rest, "(") {
		end := strings.IndexByte(rest, ')')
		if end < 0 {
			return "", fmt.Errorf("truncated line after '%%'")
		}
		if p.label, err = parseLabel(rest[1:end]); err != nil {
			return "", err
		}
		rest = rest[end+1:]
	}
	flags := ""
	if strings.HasPrefix(rest, "{") {
		end := strings.IndexByte(rest, '}')
		if end < 0 {
			return "", fmt.Errorf("truncated line after '%s'", rest[1:])
		}
		flags, rest = rest[1:end], rest[end+1:]
		if opt, err = parseOptions(opt, flags); err != nil {
			return "", err
		}
		if rest == "" || rest[0] != '[' && !isAlnum(rest[0]) {
			return "", fmt.Errorf("parse argument modifier without alias name near '%%{%s}'", flags)
		}
	}
	switch {
	case rest == "":
		return "", fmt.Errorf("truncated line after '%%'")
	case rest[0] == '[':
		return p.expr(rest[1:], opt)
	case rest[0] >= '0' && rest[0] <= '9' && flags == "", rest[0] == ' ', rest[0] == '\t':
		return "", fmt.Errorf("unexpected alias name near '%c' at position %d line : '%s'. Maybe you want to write a single '%%', use the syntax '%%%%'",
			rest[0], len(before)+1, p.f.text)
	case !isAlnum(rest[0]): // any other character is taken as it is, without the "%"
		return rest, nil
	}
	end := 0
	for end < len(rest) && isAlnum(rest[end]) {
		end++
	}
	return rest[end:], p.alias(rest[:end], opt)
}

// parseOptions reads "+Q,-X". Flags HAProxy does not know are ignored by it; we refuse them.
func parseOptions(o options, flags string) (options, error) {
	for _, f := range strings.Split(flags, ",") {
		if f == "" {
			continue
		}
		on := f[0] == '+'
		switch f[1:] {
		case "M":
			o.mandatory = on
		case "Q":
			o.quote = on
		case "X":
			o.hex = on
		case "E":
			o.escape = on
		case "bin":
			o.bin = on
		case "json":
			o.encode(encodeJSON, on)
		case "cbor":
			o.encode(encodeCBOR, on)
		default:
			return o, fmt.Errorf("unknown format flag '%s'", f)
		}
		if f[0] != '+' && f[0] != '-' {
			return o, fmt.Errorf("format flag '%s' must start with '+' or '-'", f)
		}
	}
	return o, nil
}

func (o *options) encode(e encoding, on bool) {
	switch {
	case on:
		o.encoding = e
	case o.encoding == e:
		o.encoding = encodePlain
	}
}

// addItem adds an item: dynamic makes its text, value its value for an encoding.
func (p *formatParser) addItem(n node, opt options) {
	p.flush()
	n.label = p.label
	if opt.encoding != encodePlain {
		one := n
		one.label.name = ""
		n.dynamic = func(dst []byte, s *stream.Stream, env Env) []byte {
			before := len(dst)
			dst = appendItem(dst, s, env, &one, opt)
			if opt.encoding == encodeCBOR {
				return hexInPlace(dst, before)
			}
			return dst
		}
	}
	p.f.nodes = append(p.f.nodes, n)
}

func (p *formatParser) alias(name string, opt options) error {
	if name == "o" {
		if p.use.options = opt; opt.encoding != encodePlain {
			p.f.whole = options{encoding: opt.encoding, bin: opt.bin}
		}
		return nil
	}
	a := formatAliases[name]
	switch {
	case a == nil:
		return fmt.Errorf("no such format alias '%s'. If you wanted to emit the '%%' character verbatim, you need to use '%%%%'", name)
	case a.http && !p.use.mode:
		return fmt.Errorf("format alias '%s' is reserved for HTTP mode", name)
	}
	n := node{dynamic: a.bind(p.c, opt)}
	if opt.encoding != encodePlain || p.f.whole.encoding != encodePlain {
		n.value = aliasValue(a.bind(p.c, options{line: opt.line}), numberAliases[name])
	}
	p.addItem(n, opt)
	return nil
}

func (p *formatParser) expr(rest string, opt options) (string, error) {
	x, after, err := p.c.parseExpr(rest)
	if err != nil {
		return "", fmt.Errorf("failed to parse sample expression <%s> : %w", rest, err)
	}
	if !strings.HasPrefix(after, "]") {
		inside := rest[:len(rest)-len(after)]
		if after == "" {
			return "", fmt.Errorf("missing ']' after '%s'", inside)
		}
		return "", fmt.Errorf("expected ']' after '%s', but found '%c'", inside, after[0])
	}
	if !p.use.in.has(x.need) {
		return "", fmt.Errorf("sample fetch <%s> may not be reliably used here because it needs '%s' which is not available here", x.name, x.need)
	}
	p.addItem(node{expr: true, value: x.Eval, dynamic: func(dst []byte, s *stream.Stream, env Env) []byte {
		return appendSample(dst, s, env, x, opt)
	}}, opt)
	return after[1:], nil
}

func appendSample(dst []byte, s *stream.Stream, env Env, x *Expr, opt options) []byte {
	b, _ := x.Text(s, env)
	if opt.http { // never quoted
		return appendEncoded(dst, b, '%', &encodeHTTP, opt.escape)
	}
	return appendText(dst, b, opt)
}
