package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"gatehouse/internal/runtimeapi"
)

// version is one line of `show ssl cert-history`.
type version struct {
	N        int    `json:"version"`
	Current  bool   `json:"current"`
	When     string `json:"when"`
	Serial   string `json:"serial"`
	NotAfter string `json:"notAfter"`
	SHA256   string `json:"sha256"`
	By       string `json:"by"`
}

func (k *certCommands) history() *cobra.Command {
	return &cobra.Command{
		Use: "history NAME", Short: "List the versions of a certificate that were served: when, and through which door they came", Args: cobra.ExactArgs(1),
		Example: "  gatehouse cert history -f /etc/haproxy/haproxy.cfg /etc/haproxy/certs/site.pem",
		RunE: func(c *cobra.Command, args []string) error {
			client, err := k.running(c)
			if err != nil {
				return err
			}
			text, err := client.Do(c.Context(), "show", "ssl", "cert-history", args[0])
			if err != nil {
				return k.unknown(err, args[0])
			}
			list := versionsIn(text)
			return k.print(c.OutOrStdout(), answer{versionTable(list), list})
		},
	}
}

// versionsIn reads the answer of `show ssl cert-history NAME`.
func versionsIn(text string) []version {
	list := []version{}
	for _, line := range lines(text) {
		words := strings.SplitN(line, " ", 6)
		number, current := strings.CutPrefix(words[0], "*")
		n, err := strconv.Atoi(number)
		if err != nil || len(words) < 6 {
			continue // the title
		}
		list = append(list, version{n, current, words[1], words[2], words[3], words[4], words[5]})
	}
	return list
}

func versionTable(list []version) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "VERSION\tSERVED SINCE\tSERIAL\tNOT AFTER\tBY")
	for _, v := range list {
		star := ""
		if v.Current {
			star = "*"
		}
		fmt.Fprintf(w, "%s%d\t%s\t%s\t%s\t%s\n", star, v.N, v.When, v.Serial, v.NotAfter, printable(v.By))
	}
	w.Flush()
	return b.String()
}

// change is one thing in which two versions differ.
type change struct {
	What   string `json:"what"`
	Before string `json:"before"`
	After  string `json:"after"`
}

func (k *certCommands) diff() *cobra.Command {
	return &cobra.Command{
		Use: "diff NAME [VERSION [VERSION]]", Short: "Show what differs between versions: names, dates, key, issuer, chain", Args: cobra.RangeArgs(1, 3),
		Long: "Compare a version with what serves, or two versions; without a number, the version before the one that serves. Keys are compared by kind only and never shown.\n" +
			"Exit code: 0 nothing differs; 1 something does; 2 it could not be found out.",
		Example: "  gatehouse cert diff /etc/haproxy/certs/site.pem\n  gatehouse cert diff /etc/haproxy/certs/site.pem 3 5 --json",
		RunE: func(c *cobra.Command, args []string) error {
			found, err := k.compare(c, args[0], args[1:])
			if err != nil {
				return exitCode{exitWrong, err}
			}
			if err := k.print(c.OutOrStdout(), answer{changeText(found), found}); err != nil {
				return err
			}
			return ends(c, min(len(found), 1))
		},
	}
}

func (k *certCommands) compare(c *cobra.Command, name string, numbers []string) ([]change, error) {
	client, err := k.running(c)
	if err != nil {
		return nil, err
	}
	ctx := c.Context()
	if len(numbers) == 0 {
		before, err := k.before(ctx, client, name)
		if err != nil {
			return nil, err
		}
		numbers = []string{before}
	}
	from, err := k.version(ctx, client, name, numbers[0])
	if err != nil {
		return nil, err
	}
	to := &certificate{Name: name}
	if len(numbers) > 1 {
		to, err = k.version(ctx, client, name, numbers[1])
	} else {
		err = k.describe(ctx, client, to)
		if to.Error != "" {
			err = k.unknown(&runtimeapi.Error{Text: to.Error}, name)
		}
	}
	if err != nil {
		return nil, err
	}
	return changes(from, to), nil
}

// before is the number of the version that served before the present one.
func (k *certCommands) before(ctx context.Context, client *runtimeapi.Client, name string) (string, error) {
	text, err := client.Do(ctx, "show", "ssl", "cert-history", name)
	if err != nil {
		return "", k.unknown(err, name)
	}
	list := versionsIn(text)
	i := slices.IndexFunc(list, func(v version) bool { return v.Current })
	if i < 0 {
		i = len(list)
	}
	if i == 0 {
		return "", errors.New("there is no version before the one that serves")
	}
	return strconv.Itoa(list[i-1].N), nil
}

func (k *certCommands) version(ctx context.Context, client *runtimeapi.Client, name, number string) (*certificate, error) {
	text, err := client.Do(ctx, "show", "ssl", "cert-history", name, number)
	if err != nil {
		return nil, k.unknown(err, name)
	}
	v := &certificate{Name: name}
	v.readFacts(text, k.now())
	return v, nil
}

// changes compares what people mean by the same certificate.
func changes(from, to *certificate) []change {
	list := []change{}
	add := func(what, before, after string) {
		if before != after {
			list = append(list, change{what, orDash(before), orDash(after)})
		}
	}
	date := func(t *time.Time) string {
		if t == nil {
			return ""
		}
		return t.Format(time.RFC3339)
	}
	joined := func(c *certificate) string {
		var names []string
		for _, l := range c.Chain {
			names = append(names, l.Subject)
		}
		return strings.Join(names, " < ")
	}
	add("names", strings.Join(slices.Sorted(slices.Values(from.Names)), ","), strings.Join(slices.Sorted(slices.Values(to.Names)), ","))
	add("not before", date(from.NotBefore), date(to.NotBefore))
	add("not after", date(from.NotAfter), date(to.NotAfter))
	add("key", from.Key, to.Key)
	add("subject", from.Subject, to.Subject)
	add("issuer", from.Issuer, to.Issuer)
	add("serial", from.Serial, to.Serial)
	add("chain", joined(from), joined(to))
	return list
}

func changeText(list []change) string {
	if len(list) == 0 {
		return "nothing differs\n"
	}
	var b strings.Builder
	for _, c := range list {
		fmt.Fprintf(&b, "%s\n  - %s\n  + %s\n", c.What, printable(c.Before), printable(c.After))
	}
	return b.String()
}

func (k *certCommands) rollback() *cobra.Command {
	return &cobra.Command{
		Use: "rollback NAME [VERSION]", Short: "Serve an earlier version of a certificate again, the one before unless told", Args: cobra.RangeArgs(1, 2),
		Example: "  gatehouse cert history site.pem && gatehouse cert rollback site.pem 3",
		RunE: func(c *cobra.Command, args []string) error {
			client, err := k.running(c)
			if err != nil {
				return err
			}
			text, err := client.Do(c.Context(), append([]string{"rollback", "ssl", "cert"}, args...)...)
			if err != nil {
				return k.unknown(err, args[0])
			}
			if !strings.Contains(text, "Success!") {
				return errors.New(strings.TrimSpace(text))
			}
			return k.print(c.OutOrStdout(), answer{text, map[string]string{"certificate": args[0], "answer": text}})
		},
	}
}
