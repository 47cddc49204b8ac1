package pattern

import (
	"strings"
	"testing"
)

// TestThreat_H18: patterns of a configuration or a map cannot cost more than their length in time, nor more than a bound in memory: what PCRE
// answers in exponential time is answered, what RE2 does not know is refused, and so is what is too large (docs/differences.md).
func TestThreat_H18(t *testing.T) {
	long := strings.Repeat("a", 16<<10) + "!"
	for _, text := range []string{"^(a+)+$", "^(a*)*$", "^(a|aa)+$", "^(a|a?)+$", "^([a-z]+)*$", "(.*)(.*)(.*)(.*)(.*)(.*)(.*)(.*)b", "^(([a-z])+.)+[A-Z]([a-z])+$"} {
		for _, fold := range []bool{false, true} {
			re, err := CompileRegex(text, fold)
			if err != nil {
				t.Errorf("%s: %v", text, err)
			} else if re.MatchString(long) {
				t.Errorf("%s matches", text)
			}
		}
	}
	for _, text := range []string{`(a)\1`, `(?=a)b`, `(?<!a)b`, `(?>a)`, `a{1001}`, `((a{100}){100}){100}`, "(", strings.Repeat("(", 2000) + strings.Repeat(")", 2000), strings.Repeat("a", maxRegex+1), "\xff"} {
		if _, err := CompileRegex(text, false); err == nil || !strings.HasPrefix(err.Error(), "regex '") || len(err.Error()) > 2*len(text)+200 {
			t.Errorf("%.40q: %v", text, err)
		}
	}
}
