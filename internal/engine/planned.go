package engine

import "gatehouse/internal/certstore"

// PlannedCertificates is the certificates of the configuration that was loaded last and not applied, nil when there is none.
func (e *Engine) PlannedCertificates() *certstore.Plan {
	if e.plan == nil {
		return nil
	}
	return e.plan.certs
}
