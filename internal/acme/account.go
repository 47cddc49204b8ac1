package acme

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/mholt/acmez/v3/acme"
)

// login gives the section's account at its CA: known from the state store, found by its key, or made (RFC 8555 sections 7.3 and
// 7.3.1). Several orders of a section that begin together make one account.
func (m *Manager) login(ctx context.Context, c *client, t *task) (acme.Account, error) {
	if err := c.lock(ctx); err != nil {
		return acme.Account{}, err
	}
	defer c.unlock()
	if c.down != nil && time.Since(c.downAt) < downFor {
		return acme.Account{}, c.down
	}
	account, err := m.loginLocked(ctx, c, t)
	if c.down = nil; err != nil && ctx.Err() == nil {
		c.down, c.downAt = asFailure(err), time.Now()
	}
	return account, err
}

// loginLocked expects the client's turn to be held.
func (m *Manager) loginLocked(ctx context.Context, c *client, t *task) (acme.Account, error) {
	if err := t.retried(ctx, func() error { return c.prepare(ctx) }); err != nil {
		return acme.Account{}, err
	}
	if c.account.Location != "" {
		return c.account, nil
	}
	account, thumb, err := m.accountKey(ctx, c.section)
	if err != nil {
		return account, err
	}
	account.Location, err = t.journal.accountURL(ctx, c.section.directory, thumb)
	if err != nil {
		return account, err
	}
	if account.Location == "" {
		if account, err = register(ctx, c, t, account); err != nil {
			return account, err
		}
		known := knownAccount{Directory: c.section.directory, Thumb: thumb, URL: account.Location, Contact: c.section.contact}
		if err := t.journal.putAccount(ctx, known); err != nil {
			return account, err
		}
	}
	c.account, c.thumb = account, thumb
	return account, nil
}

// register finds the account of a key or makes one.
func register(ctx context.Context, c *client, t *task, account acme.Account) (acme.Account, error) {
	key := account.PrivateKey
	err := t.call(ctx, c, "Account URL", func(ctx context.Context, z *acme.Client) (err error) {
		account, err = z.GetAccount(ctx, acme.Account{PrivateKey: key})
		return err
	})
	if f := (*failure)(nil); errors.As(err, &f) && f.kind == acme.ProblemTypeAccountDoesNotExist {
		err = t.call(ctx, c, "Account URL", func(ctx context.Context, z *acme.Client) (err error) {
			wish := acme.Account{PrivateKey: key, TermsOfServiceAgreed: true}
			if c.section.contact != "" {
				wish.Contact = []string{"mailto:" + c.section.contact}
			}
			account, err = z.NewAccount(ctx, wish)
			return err
		})
	}
	switch {
	case err != nil:
		return account, err
	case account.Location == "":
		return account, refused("couldn't get the account's Location")
	case account.Status != "" && account.Status != acme.StatusValid:
		return account, refused("the account is %s", clean(account.Status, 40))
	}
	account.PrivateKey = key
	return account, nil
}

// forget drops an account that its CA does not know any more.
func (m *Manager) forget(ctx context.Context, c *client, t *task) error {
	if err := c.lock(ctx); err != nil {
		return err
	}
	defer c.unlock()
	c.account = acme.Account{}
	return t.journal.removeAccount(ctx, c.section.directory, c.thumb)
}

// accountKey reads the section's account key, or makes and writes it, mode 0600, when there is none.
func (m *Manager) accountKey(ctx context.Context, s *section) (acme.Account, string, error) {
	select { // two sections may share one file
	case m.keys <- struct{}{}:
	case <-ctx.Done():
		return acme.Account{}, "", stopped(ctx)
	}
	defer func() { <-m.keys }()
	key, err := m.readAccountKey(s)
	if errors.Is(err, fs.ErrNotExist) {
		key, err = m.newAccountKey(s)
	}
	if err != nil {
		return acme.Account{}, "", err
	}
	account := acme.Account{PrivateKey: key}
	thumb, err := account.Thumbprint()
	if err != nil {
		return account, "", fmt.Errorf("'%s': %w", s.accountKey, err)
	}
	return account, thumb, nil
}

func (m *Manager) readAccountKey(s *section) (crypto.Signer, error) {
	data, err := m.o.Host.ReadFile(s.accountKey, maxKeyFile)
	if err != nil {
		return nil, fmt.Errorf("reading account key: %w", err)
	}
	key, err := decodeKey(data)
	if err != nil {
		return nil, said("'%s' is present but cannot be read or parsed.", s.accountKey)
	}
	if info, err := m.o.Host.Stat(s.accountKey); err == nil && info.Mode.Perm()&0o004 != 0 {
		m.log(levelWarning, fmt.Sprintf("acme: account key '%s' can be read by every user of this machine.", s.accountKey))
	}
	return key, nil
}

func (m *Manager) newAccountKey(s *section) (crypto.Signer, error) {
	m.log(levelNotice, fmt.Sprintf("acme: generate account key '%s' for acme section '%s'.", s.accountKey, s.name))
	key, err := keySpec{Type: s.keyType, Bits: s.bits, Curves: s.curves}.generate()
	if err != nil {
		return nil, err
	}
	data, err := encodeKey(key)
	if err != nil {
		return nil, err
	}
	if err := m.o.Host.ReplaceFile(s.accountKey, data, 0o600); err != nil {
		return nil, fmt.Errorf("cannot write account key '%s': %w", s.accountKey, err)
	}
	return key, nil
}
