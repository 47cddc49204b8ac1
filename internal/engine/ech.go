package engine

import (
	"fmt"
	"strings"

	"gatehouse/internal/cert"
	"gatehouse/internal/listener"
)

const (
	maxECHFile  = 1 << 20 // bytes
	echFileName = ".ech"
)

// ECHBind is a TLS bind line of the configuration that serves, with its ECH keys.
type ECHBind struct {
	Frontend string
	Name     string // "FRONTEND/@FILE:LINE"
	Alias    string // "FRONTEND/NAME" of a line with a name; "" without
	Keys     *listener.ECH
}

// ECHBinds lists the TLS bind lines in the order of the configuration.
func (e *Engine) ECHBinds() (list []ECHBind) {
	g := e.gen.Load()
	if g == nil {
		return nil
	}
	for _, x := range g.proxies {
		for _, b := range x.binds {
			if b.ech == nil {
				continue
			}
			one := ECHBind{Frontend: x.cfg.Name, Name: fmt.Sprintf("%s/@%s:%d", x.cfg.Name, b.cfg.Pos.File, b.cfg.Pos.Line), Keys: b.ech}
			if b.cfg.Name != "" {
				one.Alias = x.cfg.Name + "/" + b.cfg.Name
			}
			list = append(list, one)
		}
	}
	return list
}

// loadECH reads the .ech files of a bind line's directory. As in HAProxy a file that is none is passed over, as long as one is good.
func (b *builder) loadECH(g *proxyGen, n *bindGen) {
	n.ech = &listener.ECH{}
	dir := n.cfg.ECH
	if dir == "" {
		return
	}
	names, _ := b.e.o.Host.ReadDir(dir) // one that cannot be read has none
	for _, name := range names {
		if !strings.HasSuffix(name, echFileName) || name == echFileName {
			continue
		}
		path := dir + "/" + name
		data, err := b.e.o.Host.ReadFile(path, maxECHFile)
		var keys []cert.ECHKey
		if err == nil {
			keys, err = cert.ParseECH(data)
		}
		if err == nil && !n.ech.Add(keys, false) {
			err = fmt.Errorf("too many ECH keys")
		}
		if err != nil {
			b.diags.Notice(n.cfg.Pos, "'bind %s' : '%s' is passed over: %v", n.cfg.Text, path, err)
		}
	}
	if len(n.ech.Entries()) == 0 {
		b.diags.Alert(n.cfg.Pos, "Proxy '%s': failed to load ECH key s from %s for '%s' at [%s:%d].", g.cfg.Name, dir, n.cfg.Text, n.cfg.Pos.File, n.cfg.Pos.Line)
	}
}
