package app

import (
	"fmt"
	"os"
	"strings"

	"gatehouse/internal/config"
	"gatehouse/internal/host"
	"gatehouse/internal/rule"
)

// readSources reads the files that the command line names, directories expanded. The error is the text HAProxy prints.
func readSources(h host.Host, names []string) ([]config.Source, error) {
	var sources []config.Source
	for _, name := range names {
		isDir := func(path string) bool {
			info, err := h.Stat(path)
			return err == nil && info.Mode.IsDir()
		}
		files, err := config.ExpandSources(name, h.ReadDir, isDir)
		if err != nil {
			return nil, cannotOpen(name, err)
		}
		for _, file := range files {
			data, err := h.ReadFile(file, host.MaxFile)
			if err != nil {
				return nil, cannotOpen(file, err)
			}
			sources = append(sources, config.Source{Name: file, Data: data})
		}
	}
	return sources, nil
}

func cannotOpen(name string, err error) error {
	return fmt.Errorf("config : Cannot open configuration file/directory %s : %s", name, host.Strerror(err))
}

// environment returns the variables that a configuration may read: those of the process and those of surface 0.4 that do not
// depend on the configuration itself.
func environment(o Options, sources []config.Source, master bool) map[string]string {
	env := map[string]string{}
	for _, pair := range os.Environ() {
		if name, value, ok := strings.Cut(pair, "="); ok {
			env[name] = value
		}
	}
	names := make([]string, len(sources))
	for i, s := range sources {
		names[i] = s.Name
	}
	env["HAPROXY_CFGFILES"] = strings.Join(names, ";")
	env["HAPROXY_BRANCH"] = HAProxyBranch
	env["HAPROXY_STARTUP_VERSION"] = HAProxyVersion
	env["HAPROXY_LOCALPEER"] = o.LocalPeer
	if o.LocalPeer == "" {
		env["HAPROXY_LOCALPEER"], _ = os.Hostname()
	}
	if master {
		env["HAPROXY_MWORKER"] = "1"
	}
	for name, value := range logFormats() {
		env[name] = value
	}
	return env
}

func parseOptions(o Options, env map[string]string) config.ParseOptions {
	return config.ParseOptions{
		Env:        env,
		Version:    HAProxyVersion,
		Features:   Features(),
		TLSName:    TLSName,
		TLSVersion: TLSVersion,
		Diag:       o.Diag,
	}
}

// logFormats are the default formats, which a configuration may extend.
func logFormats() map[string]string {
	return map[string]string{
		"HAPROXY_HTTP_LOG_FMT":     rule.HTTPLog,
		"HAPROXY_HTTPS_LOG_FMT":    rule.HTTPSLog,
		"HAPROXY_TCP_LOG_FMT":      rule.TCPLog,
		"HAPROXY_HTTP_CLF_LOG_FMT": rule.HTTPCLF,
	}
}
