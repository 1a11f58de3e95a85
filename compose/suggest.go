package compose

import (
	"fmt"
	"maps"
	"slices"
)

// maxWord is the longest word that is compared with others, in bytes: the time it takes is the product of both lengths.
const maxWord = 64

// Suggest returns the candidate that word was probably meant to be, or "".
func Suggest(word string, candidates []string) string {
	if len(word) > maxWord {
		return ""
	}
	best, bestDistance := "", 1+len(word)/3
	for _, c := range candidates {
		if len(c) > maxWord {
			continue
		}
		if d := distance(word, c); d < bestDistance || (d == bestDistance && best == "") {
			best, bestDistance = c, d
		}
	}
	return best
}

// distance counts the insertions, deletions, replacements and swaps of neighbours that make b of a.
func distance(a, b string) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}

// unknownKey is the problem of a key that the specification does not have.
func unknownKey(path, key string, at *keyNode) Problem {
	p := Problem{Key: joinKey(path, key), Text: "unknown key"}
	if s := Suggest(key, slices.Sorted(maps.Keys(at.named))); s != "" {
		p.Text += fmt.Sprintf("; did you mean %q?", s)
	}
	return p
}
