package rule

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/stream"
)

// TestThreat_N11: numbers in rules, and numbers that clients send into them, saturate: no converter, time or range turns one that is huge or
// negative into another, and none panics. FuzzExpr looks for more of them.
func TestThreat_N11(t *testing.T) {
	huge := []string{"9223372036854775807", "-9223372036854775808", "2147483648", "-1", "0", "4294967296", "18446744073709551616", "99999999999999999999999", "1e300", "NaN", "-", ""}
	for _, n := range huge {
		s := newStream(t, "GET /?n="+n+" HTTP/1.1", "X-N: "+n, "Host: x")
		for _, text := range []string{
			"req.hdr(x-n),http_date", "req.hdr(x-n),http_date(9223372036854775807,us)", "req.hdr(x-n),ltime(%Y-%m-%d)", "req.hdr(x-n),utime(%s,-9223372036854775808)", "req.hdr(x-n),ms_utime(%s)",
			"req.hdr(x-n),add(9223372036854775807)", "req.hdr(x-n),sub(-9223372036854775808)", "req.hdr(x-n),mul(-1)", "req.hdr(x-n),neg", "req.hdr(x-n),div(-1)", "req.hdr(x-n),mod(-1)", "req.hdr(x-n),div(0)", "req.hdr(x-n),mod(0)",
			"req.hdr(x-n),bytes(2147483647)", "req.hdr(x-n),bytes(0,9223372036854775807)", "req.hdr(x-n),word(2147483647,.)", "req.hdr(x-n),word(-2147483648,.)", "req.hdr(x-n),field(-2147483648,.)", "req.hdr(x-n),hex2i", "req.hdr(x-n),be2dec(:,1)",
			"req.hdr(x-n),bool", "req.hdr(x-n),odd", "req.hdr(x-n),cpl", "req.hdr(x-n),xor(-1)", "date(-9223372036854775808)", "date(9223372036854775807,us)", "rand(2147483647)", "url_param(n),ipmask(32)", "hdr(x-n,-2147483648)", "hdr(x-n,2147483647)", "int(9223372036854775807),add(1)",
			"path,length,sub(9223372036854775807),sub(9223372036854775807)", "req.hdr(x-n),rtrim(0)", "str(x),concat(a,,b),bytes(1,9223372036854775807)", "req.hdr(x-n),in_table(t)",
		} {
			c, d := newCompiler()
			x := c.Expr(text, testPos)
			if x == nil { // refused, with a reason
				if !d.HasErrors() {
					t.Errorf("%s: refused silently", text)
				}
				continue
			}
			v, ok := x.Eval(s, newEnv())
			if ok && len(v.Bytes) > maxFormat {
				t.Errorf("%s of %q made %d bytes", text, n, len(v.Bytes))
			}
			if out, _ := cast(s, v, stream.KindStr); ok && strings.ContainsAny(string(out.Bytes), "\r\n") {
				t.Errorf("%s of %q made %q", text, n, out.Bytes)
			}
		}
		// A timeout that a client may choose stays between nothing and what HAProxy can hold.
		for _, name := range []string{"client", "tarpit"} {
			run(t, func(c *Compiler) *Set {
				return c.HTTPRequest(rules("set-timeout "+name+" hdr(x-n)"), nil)
			}, s, newEnv())
			kind := map[string]stream.Timeout{"client": stream.TimeoutClient, "tarpit": stream.TimeoutTarpit}[name]
			if d := s.Limits.Timeout(kind, time.Second); d < 0 || d > maxTime {
				t.Errorf("set-timeout %s %q: %v", name, n, d)
			}
		}
	}
	for _, row := range []struct {
		text string
		want int64
	}{
		{"int(9223372036854775807),add(1)", math.MaxInt64}, {"int(-9223372036854775808),sub(1)", math.MinInt64}, {"int(-9223372036854775808),neg", math.MaxInt64},
		{"int(-9223372036854775808),mul(-1)", math.MaxInt64}, {"int(-9223372036854775808),div(-1)", math.MaxInt64}, {"int(4611686018427387904),mul(4)", math.MaxInt64},
		{"int(4611686018427387904),mul(-4)", math.MinInt64}, {"int(5),div(0)", math.MaxInt64}, {"int(5),mod(0)", 0}, {"int(-9223372036854775808),mod(-1)", 0},
	} {
		if v, ok := compile(t, row.text).Eval(newStream(t, "GET / HTTP/1.1"), newEnv()); !ok || v.Int != row.want {
			t.Errorf("%s is %d, want %d", row.text, v.Int, row.want)
		}
	}
	for _, word := range []string{"set-timeout client 2147483648", "set-timeout client 9223372036854775807us", "set-timeout client -1", "pause 99999999d", "wait-for-body time 9999999999999", "deny deny_status 4294967696",
		"return status 18446744073709551816", "redirect location / code 4294967598", "set-nice 99999999999", "sc-set-gpt0(0) 18446744073709551616"} {
		c, d := newCompiler()
		if c.HTTPRequest(rules(word), nil); !d.HasErrors() {
			t.Errorf("%s was taken: %s", word, fmt.Sprint(*d))
		}
	}
}
