package rule

import (
	"strings"
	"testing"

	"gatehouse/internal/config"
)

func TestDoResolveSaysWhatItNeeds(t *testing.T) {
	var diags config.Diags
	c := &Compiler{Diags: &diags, HTTP: true}
	c.HTTPRequest([]config.Rule{{Words: strings.Fields("do-resolve(txn.ip,dns) hdr(host)"), Pos: config.Pos{File: "t.cfg", Line: 7}}}, c.ACLs(nil))
	want := "config : parsing [t.cfg:7] : 'http-request do-resolve(txn.ip,dns)' needs resolvers, which are not supported."
	if len(diags) != 1 || diags[0].Text != want {
		t.Errorf("got %v, want %s", diags, want)
	}
}
