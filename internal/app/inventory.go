package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"gatehouse/internal/cert"
	"gatehouse/internal/certstore"
	"gatehouse/internal/config"
	"gatehouse/internal/host"
)

// Held is a certificate as a configuration, or a directory, has it on disk.
type Held struct {
	certstore.Planned
	Uses []string // "FRONTEND/FILE:LINE" of the bind lines that would serve it
}

// offline is a configuration that was loaded as -c does, and what came of it.
type offline struct {
	host    host.Host
	env     map[string]string
	sources []config.Source
	engine  Engine
	cfg     *config.Config
	diags   config.Diags
}

// loadOffline loads a configuration without applying it. The error says that there is nothing to load.
func loadOffline(ctx context.Context, files []string) (*offline, error) {
	if len(files) == 0 {
		return nil, errors.New("-f FILE is missing: the configuration")
	}
	o := &offline{host: host.Direct{}}
	var err error
	if o.sources, err = readSources(o.host, files); err != nil {
		return nil, err
	}
	if len(o.sources) == 0 {
		return nil, fmt.Errorf("%s: no *.cfg file is in there", strings.Join(files, ", "))
	}
	o.env = environment(Options{}, o.sources, false)
	o.engine, err = NewHouse(WorkerOptions{Host: o.host, Flags: Flags{}, Env: o.env, Parse: parseOptions(Options{}, o.env), StateDir: o.stateDir,
		Notify: func(string, string) {}, StartupLogs: func() string { return "" }})
	if err != nil {
		return nil, err
	}
	o.cfg, o.diags = o.engine.Load(ctx, o.sources)
	return o, nil
}

func (o *offline) stateDir(cfg *config.Config) string { return StateDir(cfg, o.env) }

// plan is the certificates of the configuration; nil where it has errors that leave none.
func (o *offline) plan() *certstore.Plan { return o.engine.(*house).eng.PlannedCertificates() }

// Inventory lists the certificates of a configuration, read from the disk as a start would. One that cannot be used is in the list with its Err; any
// other error of the configuration ends the work.
func Inventory(ctx context.Context, files []string) ([]Held, error) {
	o, err := loadOffline(ctx, files)
	if err != nil {
		return nil, err
	}
	plan := o.plan()
	if plan == nil || o.diags.HasErrors() {
		return nil, fmt.Errorf("the configuration does not load (gatehouse -c tells all of it): %s", firstError(o.diags))
	}
	uses := o.engine.(*house).eng.PlannedUses()
	var list []Held
	for _, p := range plan.Planned() {
		list = append(list, Held{p, uses[p.Name]})
	}
	return list, nil
}

// InventoryDir lists the certificates of directories and files, read as a bind line's `crt` would. One with an Err can have a Bundle here, when its
// certificate reads and something else is wrong. Files of a directory without any certificate are left out.
func InventoryDir(paths []string) ([]Held, error) {
	h := host.Direct{}
	plan := certstore.New(certstore.Options{Host: h}).Plan(certstore.LoadRules{})
	for _, path := range paths {
		info, err := h.Stat(path)
		if err != nil {
			return nil, fmt.Errorf("%s: %s", path, host.Strerror(err))
		}
		if !info.Mode.IsDir() {
			if err := plan.Declare(certstore.Source{Name: path, File: path}); err != nil {
				return nil, err
			}
			continue
		}
		if _, errs := plan.DeclareDir(path, false); len(errs) > 0 {
			return nil, errors.Join(errs...)
		}
	}
	var list []Held
	for _, p := range plan.Planned() {
		if p.Err != nil {
			data, err := h.ReadFile(p.PEM, cert.MaxPEM)
			if err == nil {
				p.Bundle, err = cert.Parse(p.PEM, data)
			}
			if err != nil && !slices.Contains(paths, p.PEM) && !bytes.Contains(data, []byte("-----BEGIN CERTIFICATE")) {
				continue // a directory of certificates holds requests, parameters and notes as well
			}
		}
		list = append(list, Held{Planned: p})
	}
	return list, nil
}

// ControlSockets returns the addresses of a configuration's stats sockets as runtimeapi.Dial takes them, those of level admin first.
func ControlSockets(files []string) ([]string, error) {
	h := host.Direct{}
	sources, err := readSources(h, files)
	if err != nil {
		return nil, err
	}
	cfg, _ := config.Parse(sources, parseOptions(Options{}, environment(Options{}, sources, false))) // errors elsewhere do not hide a socket
	var admin, others []string
	for _, line := range cfg.Global.StatsSockets {
		for _, a := range line.Addrs {
			addr := dialable(a)
			switch {
			case addr == "":
			case line.Level == "admin":
				admin = append(admin, addr)
			default:
				others = append(others, addr)
			}
		}
	}
	return slices.Concat(admin, others), nil
}

// dialable is an address of a bind line as a client reaches it from this machine, "" when it cannot.
func dialable(a config.Addr) string {
	switch a.Network {
	case "unix":
		return "unix@" + a.Path
	case "abns":
		return "abns@" + a.Path
	case "tcp":
		name := a.Host
		if a.IP.IsValid() && !a.IP.IsUnspecified() {
			name = a.IP.String()
		} else if name == "" {
			name = "127.0.0.1"
			if a.Family == 6 {
				name = "::1"
			}
		}
		if strings.Contains(name, ":") {
			name = "[" + name + "]"
		}
		return fmt.Sprintf("%s:%d", name, a.Port)
	}
	return ""
}
