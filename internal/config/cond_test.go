package config

import (
	"strings"
	"testing"
)

func TestConditions(t *testing.T) {
	o := testOptions()
	o.Env = map[string]string{"SET": "", "V": "a b"}
	for text, want := range map[string]bool{
		"": false, "0": false, "1": true, "-2": true, "0x0": false, "007": true, "!0": true, "! ! 1": true,
		"1 && 0 || 1": true, "0 && 1 || 0": false, "1 || 0 && 0": true, "(1 || 0) && 0": false, "!(1 && 0)": true,
		"defined(SET)": true, "defined(UNSET)": false, "!defined(UNSET)": true,
		"feature(OPENSSL)": true, "feature(LUA)": false,
		"streq(a,a)": true, "streq(a,b)": false, "strneq(a,b)": true, "strstr(abc,bc)": true, "strstr(abc,x)": false,
		"streq(a b,a b)": true, `streq(a b,"$V")`: true,
		`streq("'a,b'","'a,b'")`: true,
		"version_atleast(3.4)":   true, "version_atleast(3.4-dev5)": true, "version_atleast(3.4.0)": true, "version_atleast(3.5)": false,
		"version_before(3.5-dev1)": true, "version_before(3.4)": false, "version_atleast(2.6)": true,
		"openssl_version_atleast(1.1.1)": true, "openssl_version_atleast(3.0.0)": true, "openssl_version_before(3.5.0)": true,
		"openssl_version_atleast(3.0.22)": true, "openssl_version_before(1.1.1f)": false,
		"ssllib_name_startswith(OpenSSL)": true, "ssllib_name_startswith(LibreSSL)": false,
		"enabled(EPOLL)": true, "enabled(KQUEUE)": false, "enabled(SERVER-SSL-VERIFY-NONE)": false,
		"1 || awslc_api_atleast(1)": true,
	} {
		if got, err := EvalCondition(text, o); err != nil || got != want {
			t.Errorf("EvalCondition(%q) = %v, %v; want %v", text, got, err, want)
		}
	}
}

// The texts were taken from haproxy -cc, version 3.4.0.
func TestBrokenConditions(t *testing.T) {
	for text, want := range map[string]string{
		`"a`:                           "Syntax Error in condition: Unmatched quote.",
		`\xz`:                          "Syntax Error in condition: Truncated or invalid hexadecimal sequence.",
		"200rrr":                       "Failed to evaluate condition: unexpected character 'r' at the end of conditional expression '200rrr'",
		"foo":                          "Failed to evaluate condition: unparsable conditional expression 'foo'",
		"streq(a)":                     "Failed to evaluate condition: missing arguments (got 1/2), type 'string' expected in argument 1 of predicate 'streq' used in conditional expression",
		"streq(a,b":                    "Failed to evaluate condition: expected ')' in argument 1 of predicate 'streq' used in conditional expression",
		"streq(a,b,c)":                 "Failed to evaluate condition: expected ')' before ',c)' in argument 1 of predicate 'streq' used in conditional expression",
		"defined(a,b)":                 "Failed to evaluate condition: expected ')' before ',b)' in argument 1 of predicate 'defined' used in conditional expression",
		"(1":                           "Failed to evaluate condition: expected ')' after conditional expression '(1'",
		"1 &&":                         "Failed to evaluate condition: unparsable conditional expression '&&'",
		"1 ||":                         "Failed to evaluate condition: unparsable conditional expression '1 ||'",
		"awslc_api_atleast(1)":         "Failed to evaluate condition: invalid argument to conditional expression predicate 'awslc_api_atleast': '1'",
		"openssl_version_atleast(foo)": "Failed to evaluate condition: invalid argument to conditional expression predicate 'openssl_version_atleast': 'foo'",
		strings.Repeat("1 ", 70):       "Error in condition: Too many words.",
	} {
		if _, err := EvalCondition(text, testOptions()); err == nil || err.Error() != want {
			t.Errorf("EvalCondition(%q) error = %v\nwant %s", text, err, want)
		}
	}
}

func TestDeepConditionsAreRefused(t *testing.T) {
	for _, text := range []string{strings.Repeat("(", 100000), strings.Repeat("1&&", 100000) + "1", strings.Repeat("!", 100000) + "1"} {
		EvalCondition(text, testOptions()) // it returns
	}
	if _, err := EvalCondition(strings.Repeat("(", 2000)+"1"+strings.Repeat(")", 2000), testOptions()); err == nil {
		t.Error("2000 parentheses were accepted")
	}
}
