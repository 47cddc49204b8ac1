package engine

import "gatehouse/internal/cert"

// BindNames are the names that one bind line answers to.
type BindNames struct {
	Frontend string
	File     string // of the bind line
	Line     int
	Index    *cert.Index
}

// BindNames lists the bind lines with TLS of the configuration that serves, in its order.
func (e *Engine) BindNames() (list []BindNames) {
	g := e.gen.Load()
	if g == nil {
		return nil
	}
	for _, x := range g.proxies {
		for _, b := range x.binds {
			if b.index != nil {
				list = append(list, BindNames{x.cfg.Name, b.cfg.Pos.File, b.cfg.Pos.Line, b.index})
			}
		}
	}
	return list
}

// IsFrontend tells whether the configuration that serves has a frontend, or listen section, of this name.
func (e *Engine) IsFrontend(name string) bool {
	g := e.gen.Load()
	return g != nil && g.byName[name] != nil && g.byName[name].front != nil
}
