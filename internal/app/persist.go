package app

import (
	"time"

	"gatehouse/internal/certstore"
	"gatehouse/internal/config"
	"gatehouse/internal/pattern"
)

// What is kept of each certificate when the configuration does not say.
const (
	historyVersions = 20
	historyAge      = 400 * 24 * time.Hour
)

// updateStore tells the certificate store what the gatehouse section says of it.
func (h *house) updateStore(cfg *config.Config) {
	g := &cfg.Gatehouse
	rules := certstore.HistoryRules{Versions: historyVersions, Age: historyAge}
	if g.History != nil {
		rules.Versions = *g.History
	}
	if g.HistoryBy != 0 {
		rules.Age = g.HistoryBy
	}
	h.store.SetHistory(rules)
	h.store.SetWatch(!g.WatchOff)
}

// savePattern writes the file of a map or ACL that a command changed, unless the configuration says persist off.
func (h *house) savePattern(ref *pattern.Ref) (warning string) {
	h.mu.Lock()
	cfg := h.current
	h.mu.Unlock()
	if cfg == nil || cfg.Gatehouse.Persist != nil && !*cfg.Gatehouse.Persist {
		return ""
	}
	warning, err := h.store.SaveFile(ref.Path(), ref.File)
	if err != nil {
		return "the change is in memory only and will be lost at a restart: " + err.Error()
	}
	return warning
}
