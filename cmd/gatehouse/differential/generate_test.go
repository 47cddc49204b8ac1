package differential

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"gatehouse/internal/cert"
)

// generator makes scenarios out of phrases. Every phrase is valid on its own, so that a scenario that haproxy refuses is a fault of the
// generator.
type generator struct{ *rand.Rand }

func newGenerator(seed uint64) *generator {
	return &generator{rand.New(rand.NewPCG(seed, seed^0x9e3779b97f4a7c15))}
}

func (g *generator) pick(list ...string) string { return list[g.IntN(len(list))] }

// some calls f up to n times.
func (g *generator) some(n int, f func()) {
	for range g.IntN(n + 1) {
		f()
	}
}

func (g *generator) chance(percent int) bool { return g.IntN(100) < percent }

// word fills in the placeholders of a phrase: <s> a sample, <r> a sample of the response, <c> a condition, <f> a format, <q> one that begins with a slash, <h> a header
// name, <v> a variable, <p> a path, <n> a small number, <i> an integer sample.
func (g *generator) word(phrase string) string {
	for placeholder.MatchString(phrase) {
		phrase = placeholder.ReplaceAllStringFunc(phrase, func(m string) string { return g.fill(m[1]) })
	}
	return phrase
}

var placeholder = regexp.MustCompile(`<[srlicdfqghvpn]>`)

func (g *generator) fill(kind byte) string {
	switch kind {
	case 's':
		return g.sample(requestSamples)
	case 'r':
		return g.sample(responseSamples)
	case 'l':
		return g.sample(logSamples)
	case 'i':
		return g.pick(integerSamples...)
	case 'c':
		return g.condition(requestTests)
	case 'd':
		return g.condition(responseTests)
	case 'f':
		return g.format("<s>")
	case 'q':
		return `"/` + g.format("<s>")[1:]
	case 'g':
		return g.format("<r>")
	case 'h':
		return g.pick(headerNames...)
	case 'v':
		return g.pick("txn.a", "txn.b", "req.c", "sess.d")
	case 'p':
		return g.pick(paths...)
	case 'n':
		return fmt.Sprint(g.IntN(12))
	}
	panic("no such placeholder")
}

// sample is a fetch and none to three converters that accept what comes before them.
func (g *generator) sample(list []typed) string {
	pick := list[g.IntN(len(list))]
	text, kind := pick.text, pick.out
	for range max(0, g.IntN(5)-1) {
		c := converters[g.IntN(len(converters))]
		if strings.ContainsRune(castable[c.in], rune(kind)) {
			text += "," + c.text
			kind = c.out
		}
	}
	return text
}

// typed is a fetch or converter with the letters of its types: s string, i integer or boolean, a address, b binary, v any.
type typed struct {
	text    string
	in, out byte
}

// castable are the types that each input type takes.
var castable = map[byte]string{'s': "siabvm", 'i': "siv", 'a': "asv", 'b': "bsv"}

// typedList reads lines "TYPE text ..." where TYPE is "s" or "si" (in and out).
func typedList(lines ...string) []typed {
	var list []typed
	for _, l := range lines {
		kind, words, _ := strings.Cut(l, " ")
		for _, w := range strings.Fields(words) {
			list = append(list, typed{strings.ReplaceAll(w, "_SP_", " "), kind[0], kind[len(kind)-1]})
		}
	}
	return list
}

// format is a log-format text of words and samples, fit to stand between quotes.
func (g *generator) format(sample string) string {
	var b strings.Builder
	for range 1 + g.IntN(3) {
		b.WriteString(g.pick("x", "-", "a.b", "100%%", "/", "") + "%[" + g.word(sample) + "]")
	}
	return `"` + strings.NewReplacer(`"`, `\"`, `$`, `\$`).Replace(b.String()) + `"`
}

// condition is one to three tests.
func (g *generator) condition(tests []string) string {
	test := func() string {
		neg := g.pick("", "", "!")
		return neg + g.word(g.pick(tests...))
	}
	c := test()
	for range g.IntN(3) {
		c += g.pick(" ", " || ", " or ") + test()
	}
	return c
}

// when is an optional condition.
func (g *generator) when(tests []string) string {
	if g.chance(40) {
		return ""
	}
	return g.pick(" if ", " if ", " unless ") + g.condition(tests)
}

// scenario makes the i-th one.
func (g *generator) scenario(i int) *scenario {
	if g.chance(12) {
		return g.tcpScenario(i)
	}
	s := &scenario{name: fmt.Sprintf("fe%d", i), backs: map[string][]string{}}
	be := fmt.Sprintf("be%d", i)
	s.names = []string{be, be + "x"}
	front := func(l string) { s.front = append(s.front, g.word(l)) }
	g.logging(front)
	for _, l := range []string{"acl a0 path_beg /a /b", "acl a0 <t>", "acl a1 <t>", "acl a2 <t>"} {
		front(strings.Replace(l, "<t>", strings.Trim(g.plainTest(), "{ }"), 1))
	}
	g.some(2, func() { front(g.pick(frontOptions...)) })
	for _, kind := range []struct {
		percent int
		lines   []string
	}{{15, captures}, {20, errorAnswers}, {12, monitors}, {12, tcpRules}} {
		if g.chance(kind.percent) {
			for range 1 + g.IntN(2) {
				front(g.pick(kind.lines...))
			}
		}
	}
	g.some(6, func() { front("http-request " + g.pick(frontRules...) + g.when(requestTests)) })
	if g.chance(35) {
		front("http-request " + g.pick(finalRules...) + " if " + g.condition(requestTests))
	}
	g.some(3, func() { front("http-response " + g.pick(responseRules...) + g.when(responseTests)) })
	if g.chance(25) {
		front("http-after-response " + g.pick(afterRules...) + g.when(responseTests))
	}
	if g.chance(40) {
		front(fmt.Sprintf("use_backend %sx if %s", be, g.condition(requestTests)))
	}
	if g.chance(15) {
		front(fmt.Sprintf("use_backend %%[str(%s),concat(,txn.zz,)]x if %s", be, g.condition(requestTests)))
	}
	front("default_backend " + be)
	for _, n := range s.names {
		g.backend(s, n)
	}
	for range 3 + g.IntN(4) {
		s.requests = append(s.requests, g.request())
	}
	g.features(s)
	return s
}

func (g *generator) plainTest() string {
	for {
		t := g.pick(requestTests...)
		if strings.HasPrefix(t, "{ ") {
			return g.word(t)
		}
	}
}

func (g *generator) logging(front func(string)) {
	switch g.IntN(4) {
	case 0:
		front("option httplog")
	case 1:
		front("option httplog clf")
	case 2:
		front("option tcplog")
	default:
		var items []string
		for range 2 + g.IntN(7) {
			items = append(items, g.pick(logItems...))
		}
		front(`log-format "%f ` + strings.ReplaceAll(g.word(strings.Join(items, g.pick(" ", "|", "/"))), "$", `\$`) + `"`)
	}
	if g.chance(10) {
		front(g.pick("option dontlog-normal", "option log-separate-errors", "option dontlognull"))
	}
}

func (g *generator) backend(s *scenario, name string) {
	back := func(l string) { s.backs[name] = append(s.backs[name], g.word(l)) }
	g.some(2, func() { back(g.pick(backOptions...)) })
	if g.chance(20) {
		back(g.pick(errorAnswers...))
	}
	cookie := ""
	if g.chance(30) {
		back("cookie " + g.pick(cookies...))
		cookie = " cookie " + g.pick("v1", "v2")
	}
	g.some(4, func() { back("http-request " + g.pick(backRules...) + g.when(backTests)) })
	if g.chance(20) {
		back("http-request " + g.pick(finalRules...) + " if " + g.condition(backTests))
	}
	g.some(4, func() { back("http-response " + g.pick(responseRules...) + g.when(backResponseTests)) })
	if g.chance(15) {
		back("http-response " + g.pick(responseFinals...) + " if " + g.condition(backResponseTests))
	}
	if g.chance(20) {
		back("http-after-response " + g.pick(afterRules...) + g.when(backResponseTests))
	}
	if g.chance(12) {
		back("use-server s2 if " + g.condition(backTests))
	}
	if !slices.ContainsFunc(s.backs[name], func(l string) bool { return strings.HasPrefix(l, "balance ") }) {
		back("balance roundrobin") // it is random otherwise since 3.3
	}
	back("server s1 @server" + cookie)
	back("server s2 @server" + g.pick("", " backup", " weight 0") + strings.Replace(cookie, "v", "w", 1))
}

// request writes the bytes of one connection: one request, sometimes up to four behind each other.
func (g *generator) request() request {
	var r request
	if g.chance(20) {
		for range 1 + g.IntN(3) {
			g.message(&r, false)
		}
	}
	g.message(&r, true)
	return r
}

// message appends one request, and says on the last one that the connection ends.
func (g *generator) message(r *request, last bool) {
	method := g.pick("GET", "GET", "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH")
	body := ""
	var fields []string
	if !last && (method == "POST" || method == "PUT" || method == "PATCH" || method == "HEAD") {
		// before 3.0 an answer of haproxy's own to a request with a body ended the connection; one to a HEAD that set-method changed always does
		method = "GET"
	}
	if method == "POST" || method == "PUT" || method == "PATCH" {
		body = g.pick("", "a=1&b=2", "hello world", strings.Repeat("0123456789", 30))
		if g.chance(30) {
			fields = append(fields, "Transfer-Encoding: chunked")
			chunks := ""
			if body != "" {
				chunks = fmt.Sprintf("%x\r\n%s\r\n", len(body), body)
			}
			body = chunks + "0\r\n\r\n"
		} else {
			fields = append(fields, fmt.Sprintf("Content-Length: %d", len(body)))
		}
	}
	target := g.pick(paths...) + g.pick("", "", "?x=1", "?x=1&y=two", "?y=%41%20b&n=5&x=", "?q=a/b?c")
	version := "HTTP/1.1"
	if last && g.chance(8) {
		version = "HTTP/1.0"
	}
	fields = append(fields, "Host: "+g.pick("www.example.com", "WWW.Example.com", "api.example.org:8080", "a.b", "10.1.2.3"))
	for range g.IntN(5) {
		fields = append(fields, g.pick(clientFields...))
	}
	if last {
		fields = append(fields, "Connection: close")
	}
	fields = append(fields, "X-Want: "+g.pick(wants...))
	g.Shuffle(len(fields), func(i, j int) { fields[i], fields[j] = fields[j], fields[i] })
	r.raw += fmt.Sprintf("%s %s %s\r\n%s\r\n\r\n%s", method, target, version, strings.Join(fields, "\r\n"), body)
	r.sent = append(r.sent, sent{method, version})
}

// writeSideFiles makes the files that phrases name, in the folder in which the programs run.
func writeSideFiles(t *testing.T, dir string) {
	t.Helper()
	for name, text := range sideFiles {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "site.pem"), sitePEM(t), 0o600); err != nil {
		t.Fatal(err)
	}
}

// sitePEM is one certificate for all programs of a run.
var sitePEM = func() func(*testing.T) []byte {
	var once sync.Once
	var pem []byte
	return func(t *testing.T) []byte {
		once.Do(func() {
			b, err := cert.NewDummy("ECDSA", 0, "")
			if err != nil {
				t.Fatal(err)
			}
			pem = b.FilePEM(true)
		})
		return pem
	}
}()
