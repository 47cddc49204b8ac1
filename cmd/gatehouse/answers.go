package main

import (
	"strings"
)

// acmeStatus shows the table of `acme status`; as JSON every row is an object by the columns' names.
func acmeStatus(do asker, _ []string) (answer, error) {
	text, err := do("acme", "status")
	if err != nil {
		return answer{}, err
	}
	rows := []map[string]string{}
	var columns []string
	for _, line := range lines(text) {
		if header, ok := strings.CutPrefix(line, "# "); ok {
			columns = strings.Split(header, "\t")
			continue
		}
		row := map[string]string{}
		for i, cell := range strings.Split(line, "\t") {
			if i < len(columns) {
				row[key(columns[i])] = cell
			}
		}
		rows = append(rows, row)
	}
	return answer{text, rows}, nil
}

// acmeRenew starts a renewal; its end is seen in acme status and in the log.
func acmeRenew(do asker, args []string) (answer, error) {
	text, err := do("acme", "renew", args[0])
	return answer{text, map[string]string{"certificate": args[0], "answer": text}}, err
}

// listed is one name of cert list.
type listed struct {
	Name        string `json:"name"`
	Transaction bool   `json:"transaction"` // a change was set and not yet committed
}

func certList(do asker, _ []string) (answer, error) {
	text, err := do("show", "ssl", "cert")
	if err != nil {
		return answer{}, err
	}
	names := []listed{}
	at := map[string]int{}
	for _, line := range lines(text) {
		if strings.HasPrefix(line, "# ") {
			continue
		}
		name, open := strings.CutPrefix(line, "*")
		i, seen := at[name]
		if !seen {
			i = len(names)
			at[name] = i
			names = append(names, listed{Name: name})
		}
		names[i].Transaction = names[i].Transaction || open
	}
	var b strings.Builder
	for _, n := range names {
		mark := ""
		if n.Transaction {
			mark = "*"
		}
		b.WriteString(mark + n.Name + "\n")
	}
	return answer{b.String(), names}, nil
}

// certShow shows the lines of `show ssl cert NAME`; as JSON every label is a list, because chains repeat theirs.
func certShow(do asker, args []string) (answer, error) {
	text, err := do("show", "ssl", "cert", args[0])
	if err != nil {
		return answer{}, err
	}
	facts := map[string][]string{}
	for _, line := range lines(text) {
		label, value, ok := strings.Cut(line, ":")
		if !ok {
			continue
		}
		facts[key(label)] = append(facts[key(label)], strings.TrimSpace(value))
	}
	return answer{text, facts}, nil
}

func lines(text string) []string {
	var all []string
	for line := range strings.Lines(text) {
		if line = strings.TrimRight(line, "\n"); line != "" {
			all = append(all, line)
		}
	}
	return all
}

// key makes a JSON name of a label: "expires in" and "Chain Issuer" become expires_in and chain_issuer.
func key(label string) string {
	label = strings.ToLower(strings.NewReplacer("(", "", ")", "").Replace(strings.TrimSpace(label)))
	return strings.ReplaceAll(label, " ", "_")
}
