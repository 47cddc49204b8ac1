package engine

import (
	"context"

	"gatehouse/internal/cert"
	"gatehouse/internal/config"
	"gatehouse/internal/host"
)

// signer reads the authority of a bind line with generate-certificates; nil for others, and after an error was told.
func (b *builder) signer(g *proxyGen, line *config.Bind) *cert.Authority {
	if !line.GenerateCerts {
		return nil
	}
	tell := func(format string, args ...any) {
		b.diags.Alert(line.Pos, "Proxy '%s': "+format, append([]any{g.cfg.Name}, args...)...)
	}
	if line.CASignFile == "" {
		tell("cannot enable certificate generation, no CA certificate File configured at [%s:%d].", line.Pos.File, line.Pos.Line)
		return nil
	}
	file := under(b.cfg.Global.CABase, line.CASignFile)
	fail := func(what string, err error) *cert.Authority {
		tell("Failed to read CA certificate file '%s' at [%s:%d]. %s: %v", file, line.Pos.File, line.Pos.Line, what, err)
		return nil
	}
	bundle, err := b.plan.certs.Read(file, line.CASignPass)
	if err != nil {
		return fail("Chain loading failed", err)
	}
	a, err := cert.NewAuthority(bundle)
	if err != nil {
		return fail("Chain missing certificate or private key", err)
	}
	return a
}

// forger keeps the certificates that a generation makes; nil when it makes none.
func (b *builder) forger() *cert.Forger {
	if b.plan.forger == nil {
		limit := cert.DefaultForged
		if n := b.cfg.Global.SSLCtxCache; n != nil {
			limit = *n
		}
		b.plan.forger = cert.NewForger(limit)
	}
	return b.plan.forger
}

// passphrase asks the program of ssl-passphrase-cmd; nil without one.
func (b *builder) passphrase() func(file string) ([]byte, error) {
	command := b.cfg.Global.PassphraseCmd
	asker, ok := b.e.o.Host.(host.Asker)
	if len(command) == 0 || !ok {
		return nil
	}
	ctx := context.WithoutCancel(b.ctx) // an edited file is read again long after the plan; each question has its own end
	return func(file string) ([]byte, error) { return asker.AskPassphrase(ctx, command, file) }
}
