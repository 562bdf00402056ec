package upgrade

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"strings"
)

// sumsName is a file with the checksums of all files beside it.
const sumsName = "SHA256SUMS"

// findSum finds the checksum of a file in lines as sha256sum writes them. A file
// with a single sum and no name is about whatever it stands beside.
func findSum(text, name string) (string, bool) {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	for _, line := range lines {
		fields := strings.Fields(line)
		if len(fields) == 0 || !isSum(fields[0]) {
			continue
		}
		switch {
		case len(fields) == 1 && len(lines) == 1:
			return strings.ToLower(fields[0]), true
		case len(fields) == 2 && strings.TrimPrefix(fields[1], "*") == name:
			return strings.ToLower(fields[0]), true
		}
	}
	return "", false
}

func isSum(text string) bool {
	sum, err := hex.DecodeString(text)
	return err == nil && len(sum) == 32
}

// wanted is the checksum that the program should have: the one that was given, or
// that of a file beside it. Without any, a file on this machine is taken as it is,
// and what comes over a network is refused.
func wanted(ctx context.Context, client *http.Client, s source, given string) (string, error) {
	if given != "" {
		if !isSum(given) {
			return "", fmt.Errorf("%q is no SHA-256 checksum: it has 64 digits of 0-9 and a-f", given)
		}
		return strings.ToLower(given), nil
	}
	own, all := s.beside(".sha256"), s.sibling(sumsName)
	for _, c := range []source{own, all} {
		text, err := c.text(ctx, client)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", err
		}
		sum, found := findSum(string(text), s.name())
		switch {
		case found:
			return sum, nil
		case c == own:
			return "", fmt.Errorf("%s holds no SHA-256 checksum of %s", c, s.name())
		}
	}
	if s.url == nil {
		return "", nil
	}
	return "", fmt.Errorf("there is no checksum of %s: neither %s nor %s is there; serve one, or give it with --sha256", s, own, all)
}
