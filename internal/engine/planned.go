package engine

import (
	"fmt"
	"slices"

	"gatehouse/internal/certstore"
)

// PlannedCertificates is the certificates of the configuration that was loaded last and not applied, nil when there is none.
func (e *Engine) PlannedCertificates() *certstore.Plan {
	if e.plan == nil {
		return nil
	}
	return e.plan.certs
}

// PlannedUses tells where the certificates of the configuration that was loaded last would serve: by name, "FRONTEND/FILE:LINE" of each bind line, once
// each. Certificates that cannot be used are among them.
func (e *Engine) PlannedUses() map[string][]string {
	uses := map[string][]string{}
	if e.plan == nil {
		return uses
	}
	for _, g := range e.plan.proxies {
		for _, bind := range g.binds {
			where := fmt.Sprintf("%s/%s:%d", g.cfg.Name, bind.cfg.Pos.File, bind.cfg.Pos.Line)
			for _, u := range bind.entries {
				if name := u.entry.Name; !slices.Contains(uses[name], where) {
					uses[name] = append(uses[name], where)
				}
			}
		}
	}
	return uses
}
