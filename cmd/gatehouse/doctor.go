package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gatehouse/internal/app"
	"gatehouse/internal/runtimeapi"
)

// doctor is `gatehouse doctor`.
func (s *session) doctor() *cobra.Command {
	o := app.DoctorOptions{}
	all := false
	c := &cobra.Command{
		Use: "doctor", Short: "Say what keeps a configuration from working on this machine: the path, its owner and mode, and what to do", Args: cobra.NoArgs,
		Long: "Look at the files, rights, directories, sockets, addresses, limits and the clock that a configuration depends on. Nothing is changed.\n\n" +
			"Exit code: 0 all is well; 1 something works badly or not for long; 2 something does not work.",
		Example: `  gatehouse doctor -f /etc/haproxy/haproxy.cfg
  sudo gatehouse doctor --user haproxy -f /etc/haproxy/haproxy.cfg   # started by User=haproxy of a unit
  gatehouse doctor --json -f site.cfg | jq -r '.[] | select(.severity == "error").do'`,
		RunE: func(c *cobra.Command, _ []string) error {
			o.Now = time.Now()
			o.Answers = func(addr string) bool {
				client, err := runtimeapi.Dial(addr)
				if err != nil {
					return false
				}
				_, err = client.Do(c.Context(), "show", "version")
				return err == nil
			}
			found, err := app.Doctor(c.Context(), o)
			if err != nil {
				return exitCode{exitWrong, err}
			}
			if err := s.print(c.OutOrStdout(), answer{ailmentText(found, all), found}); err != nil {
				return err
			}
			return ends(c, gravest(found))
		},
	}
	c.Flags().StringArrayVarP(&o.Files, "file", "f", nil, "configuration file or directory, as gatehouse -f; may be repeated")
	c.Flags().StringVar(&o.User, "user", "", "who starts the process; you, unless told")
	c.Flags().BoolVar(&all, "all", false, "also tell what is well")
	_ = c.MarkFlagRequired("file")
	return c
}

func gravest(found []app.Ailment) int {
	has := func(severity string) bool {
		return slices.ContainsFunc(found, func(a app.Ailment) bool { return a.Severity == severity })
	}
	switch {
	case has(app.AilmentError):
		return exitWrong
	case has(app.AilmentWarning):
		return exitSoon
	}
	return 0
}

func ailmentText(found []app.Ailment, all bool) string {
	var b strings.Builder
	n := 0
	for _, a := range found {
		if a.Severity != app.AilmentNone {
			n++
		} else if !all {
			continue
		}
		fmt.Fprintf(&b, "%-7s  %s: %s\n", a.Severity, printable(a.Path), printable(a.Problem))
		if a.Do != "" {
			fmt.Fprintf(&b, "         do: %s\n", printable(a.Do))
		}
	}
	fmt.Fprintf(&b, "%d findings\n", n)
	return b.String()
}
