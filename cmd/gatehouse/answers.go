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
