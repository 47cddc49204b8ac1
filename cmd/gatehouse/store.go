package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"gatehouse/internal/app"
	"gatehouse/internal/certstore"
	"gatehouse/internal/runtimeapi"
)

// storeCheck is `gatehouse store check`: unlike the commands that ask a process it works on the disk, and asks a process only with -s.
func (s *session) storeCheck() *cobra.Command {
	var o app.StoreCheckOptions
	c := &cobra.Command{
		Use: "check", Short: "Compare files, state directory, history and, with -s, a running process", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if len(o.Files) == 0 {
				return errors.New("-f FILE is missing: the configuration whose certificates are checked")
			}
			if c.Flags().Changed("socket") {
				o.Memory = s.fingerprint(c)
			}
			report, err := app.StoreCheck(c.Context(), o)
			if err != nil {
				return err
			}
			if err := s.print(c.OutOrStdout(), answer{reportText(report), report}); err != nil {
				return err
			}
			if n := report.Errors(); n > 0 {
				return fmt.Errorf("%d errors", n)
			}
			return nil
		},
	}
	c.Flags().StringArrayVarP(&o.Files, "file", "f", nil, "configuration file or directory, as gatehouse -f; may be repeated")
	c.Flags().BoolVar(&o.Repair, "repair", false, "finish and remove what is left over in the state directory, when no process holds it")
	return c
}

// fingerprint asks a running process for the SHA-1 fingerprint of what it serves under a name.
func (s *session) fingerprint(c *cobra.Command) func(string) (string, error) {
	return func(name string) (string, error) {
		client, err := runtimeapi.Dial(s.address())
		if err != nil {
			return "", err
		}
		if s.master {
			client.Prefix = "@1"
		}
		text, err := client.Do(c.Context(), "show", "ssl", "cert", name)
		if err != nil {
			return "", err
		}
		for line := range strings.Lines(text) {
			if sum, ok := strings.CutPrefix(line, "SHA1 FingerPrint: "); ok {
				return strings.TrimSpace(sum), nil
			}
		}
		return "", nil
	}
}

// reportText is a report for people.
func reportText(r certstore.Report) string {
	var b strings.Builder
	for _, f := range r.Findings {
		state := f.Severity
		if f.Repaired {
			state = "repaired"
		}
		fmt.Fprintf(&b, "%-8s  %-7s  %s: %s\n", state, f.Kind, f.Subject, f.Text)
	}
	fmt.Fprintf(&b, "%d certificates, %d versions in the state directory, %d in the history: %d errors, %d findings in all\n", r.Certificates, r.Kept, r.Versions, r.Errors(), len(r.Findings))
	return b.String()
}
