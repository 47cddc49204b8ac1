package config

import (
	"strings"
	"testing"
)

func TestKeywordEntriesAreComplete(t *testing.T) {
	tb := newTables()
	for name, part := range map[string]*table{"section": tb.section, "global": tb.global, "proxy": tb.proxy, "option": tb.option, "timeout": tb.timeout, "bind": tb.bind,
		"server": tb.server, "crt-store": tb.crtStore, "load": tb.load, "acme": tb.acme, "gatehouse": tb.gatehouse} {
		if len(part.by) != len(part.list) {
			t.Errorf("%s: a keyword has two entries", name)
		}
		for i := range part.list {
			k := &part.list[i]
			switch {
			case k.In == 0:
				t.Errorf("%s %s stands nowhere", name, k.Name)
			case k.State == Honoured && k.parse == nil && name != "timeout" && name != "load":
				t.Errorf("%s %s is honoured by nothing", name, k.Name)
			case k.Manual == "" && !k.own && name != "section":
				t.Errorf("%s %s has no manual section", name, k.Name)
			case k.State == Partial && k.Note == "":
				t.Errorf("%s %s is partial and does not say how", name, k.Name)
			case k.own && k.Note == "":
				t.Errorf("%s %s is ours and not explained", name, k.Name)
			}
		}
	}
}

// TestEveryKeywordIsHonouredNotedOrRefused writes each keyword once and reads what becomes of it.
func TestEveryKeywordIsHonouredNotedOrRefused(t *testing.T) {
	tb := newTables()
	check := func(k *Keyword, text string) {
		t.Helper()
		_, diags := parseText(text)
		out := printDiags(diags)
		switch k.State {
		case NoEffect:
			if !strings.Contains(out, "[NOTICE]") || !strings.Contains(out, k.Name) || diags.HasErrors() || diags.HasWarnings() {
				t.Errorf("%s: want one NOTICE naming it, got %s", k.Name, out)
			}
		case Refused:
			if !diags.HasErrors() || strings.Contains(out, "unknown keyword '"+k.Name) || strings.Contains(out, "unknown option '"+k.Name) {
				t.Errorf("%s: want a refusal that is not 'unknown', got %s", k.Name, out)
			}
		}
	}
	for i := range tb.global.list {
		k := &tb.global.list[i]
		arg := " 1"
		if strings.HasPrefix(k.Name, "tune.ssl.default-dh") {
			arg = " 2048"
		}
		check(k, "global\n "+k.Name+arg+"\n")
	}
	for i := range tb.proxy.list {
		check(&tb.proxy.list[i], someTimeouts+"listen l\n bind :1\n "+tb.proxy.list[i].Name+" 1\n")
	}
	for i := range tb.option.list {
		check(&tb.option.list[i], someTimeouts+"listen l\n bind :1\n option "+tb.option.list[i].Name+"\n")
	}
	for i := range tb.bind.list {
		check(&tb.bind.list[i], someTimeouts+"listen l\n bind :1 "+tb.bind.list[i].Name+strings.Repeat(" 1", tb.bind.list[i].args)+"\n")
	}
	for i := range tb.server.list {
		check(&tb.server.list[i], someTimeouts+"backend b\n server s 1.1.1.1 "+tb.server.list[i].Name+strings.Repeat(" 1", tb.server.list[i].args)+"\n")
	}
	for i := range tb.acme.list {
		check(&tb.acme.list[i], "acme a\n directory x\n "+tb.acme.list[i].Name+" 1\n")
	}
	for i := range tb.section.list {
		check(&tb.section.list[i], tb.section.list[i].Name+" a\n whatever\n")
	}
}
