package app

import "gatehouse/internal/pattern"

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
