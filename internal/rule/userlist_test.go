package rule

import (
	"encoding/base64"
	"strings"
	"testing"

	"gatehouse/internal/config"
)

func basicField(user, password string) string {
	return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

func TestUserlists(t *testing.T) {
	list := NewUserlist(&config.Userlist{Name: "L", Users: []*config.User{
		{Name: "ann", Password: "se:cret", Insecure: true, Groups: []string{"admin", "staff"}},
		{Name: "bob", Password: "$1$saltsalt$6SNdNaZLKst2LlSm7oPPL1", Groups: []string{"staff"}},
		{Name: "none"},
	}}, nil)
	c, d := newCompiler()
	c.Userlists = func(name string) *Userlist {
		if name == "L" {
			return list
		}
		return nil
	}
	set := c.HTTPRequest(rules(`return status 200 content-type text/plain lf-string "%[http_auth_user] %[http_auth_pass] %[http_auth_type]" if { http_auth_group(L) admin }`,
		"return status 299 if { http_auth_group(L) -m str staff } { http_auth(L) }",
		"return status 201 if { http_auth_bearer t } { http_auth_type Bearer }", "return status 202 if { http_auth_bearer(x-auth) t }",
		"return status 500 if { http_auth(L) }", `auth realm "My place"`), nil)
	if len(*d) > 0 {
		t.Fatalf("unexpected messages:\n%s", diagTexts(d))
	}
	for _, tc := range []struct {
		field  string
		status int
		body   string
	}{
		{basicField("ann", "se:cret"), 200, "ann se:cret Basic"},
		{basicField("bob", "pw"), 299, ""},
		{basicField("bob", "pw"), 299, ""}, // remembered
		{basicField("bob", "pwx"), 401, ""},
		{basicField("none", ""), 401, ""},
		{basicField("zoe", ""), 401, ""},
		{"Authorization: bearer  t", 201, ""},
		{"X-Auth: Bearer t", 202, ""},
		{"Authorization: Basic !!!", 401, ""},
		{"Authorization: Basic", 401, ""},
		{"X-None: 1", 401, ""},
		{basicField("bob", strings.Repeat("x", 600)), 401, ""},
	} {
		v := set.Run(newStream(t, "GET / HTTP/1.1", tc.field), nil)
		if v.Kind != VerdictReturn || v.Status != tc.status || string(v.Reply.Body) != tc.body {
			t.Errorf("%s: %v %d %q, want %d %q", tc.field, v.Kind, v.Status, v.Reply.Body, tc.status, tc.body)
		}
		if v.Status == 401 && string(v.Reply.Challenge) != `Basic realm="My place"` {
			t.Errorf("challenge %q", v.Reply.Challenge)
		}
	}
	if list.users["bob"].good.Load() == nil {
		t.Error("the password that was right is not remembered")
	}
}

func TestAuthRulesAreChecked(t *testing.T) {
	var d config.Diags
	NewUserlist(&config.Userlist{Name: "L", Users: []*config.User{{Name: "ann", Password: "!hunter2"}}}, &d)
	c, more := newCompiler()
	c.HTTPRequest(rules("auth realm", "deny if { http_auth(X) }", "deny if { http_auth_group() g }"), nil)
	text := diagTexts(&d) + diagTexts(more)
	for _, want := range []string{"the encrypted password used for user 'ann' is not supported by crypt(3).", "missing realm value", "unable to find userlist 'X'", "missing userlist name"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
	if strings.Contains(text, "hunter2") {
		t.Errorf("a password is shown:\n%s", text)
	}
}
