package main

import (
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

func (k *certCommands) list() *cobra.Command {
	return &cobra.Command{
		Use: "list [DIR|FILE...]", Short: "List certificates by expiry: names, key, issuer, dates, where they serve",
		Example: `  gatehouse cert list                                    # of the process behind ` + defaultSocket + `
  gatehouse cert list -f /etc/haproxy/haproxy.cfg        # of the process that serves this configuration
  gatehouse cert list --disk -f /etc/haproxy/haproxy.cfg # what the configuration would load
  gatehouse cert list /etc/haproxy/certs                 # of a directory
  gatehouse cert list --json | jq -r '.[] | select(.daysLeft < 14).name'`,
		RunE: func(c *cobra.Command, args []string) error {
			list, err := k.collect(c, args)
			if err != nil {
				return err
			}
			byExpiry(list)
			return k.print(c.OutOrStdout(), answer{tableOf(list), filled(list)})
		},
	}
}

// byExpiry puts first what ends first. What cannot be used comes before all.
func byExpiry(list []*certificate) {
	when := func(c *certificate) time.Time {
		if c.NotAfter == nil {
			return time.Time{}
		}
		return *c.NotAfter
	}
	slices.SortFunc(list, func(a, b *certificate) int {
		if d := when(a).Compare(when(b)); d != 0 {
			return d
		}
		return strings.Compare(a.Name, b.Name)
	})
}

// filled makes empty lists of missing ones, so that programs need not tell null from [].
func filled(list []*certificate) []*certificate {
	for _, c := range list {
		for _, s := range []*[]string{&c.Names, &c.Uses, &c.Status} {
			if *s == nil {
				*s = []string{}
			}
		}
	}
	if list == nil {
		return []*certificate{}
	}
	return list
}

// tableOf is a list for people.
func tableOf(list []*certificate) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "CERTIFICATE\tNAMES\tKEY\tISSUER\tNOT AFTER\tDAYS\tSERVES\tSTATUS")
	for _, c := range list {
		date, days := "-", "-"
		if c.NotAfter != nil {
			date, days = c.NotAfter.Format(time.DateOnly), fmt.Sprint(*c.DaysLeft)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", printable(c.Name), printable(some(c.Names)), orDash(c.Key), orDash(printable(short(c.Issuer))), date, days, orDash(serves(c.Uses)), printable(c.state()))
	}
	w.Flush()
	return b.String()
}

// state is everything out of the ordinary.
func (c *certificate) state() string {
	all := slices.Clone(c.Status)
	if c.Transaction {
		all = append(all, "change not committed")
	}
	if c.Error != "" {
		all = append(all, "unusable: "+c.Error)
	}
	return orDash(strings.Join(all, ", "))
}

// some shows the first of many.
func some(names []string) string {
	switch n := len(names); {
	case n == 0:
		return "-"
	case n > 2:
		return fmt.Sprintf("%s,%s +%d", names[0], names[1], n-2)
	}
	return strings.Join(names, ",")
}

// serves are the sections of the places a certificate serves at, each once.
func serves(uses []string) string {
	var sections []string
	for _, use := range uses {
		section, _, _ := strings.Cut(use, "/")
		if !slices.Contains(sections, section) {
			sections = append(sections, section)
		}
	}
	return strings.Join(sections, ",")
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// printable keeps what strangers put into a certificate from moving the cursor of a terminal or breaking a table.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return '?'
		}
		return r
	}, s)
}

func (k *certCommands) show() *cobra.Command {
	return &cobra.Command{
		Use: "show NAME", Short: "Show one certificate", Args: cobra.ExactArgs(1),
		Long: "Show one certificate: the lines of `show ssl cert`, then where it serves and how long it is good.\n*NAME shows what was set and is not committed.",
		Example: `  gatehouse cert show /etc/haproxy/certs/site.pem
  gatehouse cert show --disk ./site.pem
  gatehouse cert show --json /etc/haproxy/certs/site.pem | jq .notAfter`,
		RunE: func(c *cobra.Command, args []string) error {
			found, err := k.one(c, args[0])
			if err != nil {
				return err
			}
			text := make([]string, 0, len(found.lines)+4)
			for _, line := range found.lines {
				text = append(text, printable(line))
			}
			for _, use := range found.Uses {
				text = append(text, "Serves: "+use)
			}
			if found.DaysLeft != nil {
				text = append(text, fmt.Sprintf("Days left: %d", *found.DaysLeft))
			}
			if found.Error != "" {
				text = append(text, "Unusable: "+printable(found.Error))
			}
			filled([]*certificate{found})
			return k.print(c.OutOrStdout(), answer{strings.Join(text, "\n") + "\n", found})
		},
	}
}
